"""Tests of the probe: it prints a configuration for the sources that a board has."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from edge.config import load
from edge.core.layout import Layout
from edge.power.probe import as_yaml, probe


class TestProbe:
    def test_what_is_found_is_a_configuration_that_loads(self, tmp_path: Path, layout: Layout) -> None:
        """Supplies of the kernel, undervoltage detector, shunts, charger and SoC are found, and the output loads."""
        root = tmp_path / "board"
        for name, text in {
            "sys/class/power_supply/battery/type": "Battery",
            "sys/class/power_supply/battery/capacity": "71",
            "sys/class/hwmon/hwmon0/name": "rpi_volt",
            "sys/class/hwmon/hwmon0/in0_lcrit_alarm": "0",
            "sys/class/hwmon/hwmon1/name": "ina3221",
            "sys/class/hwmon/hwmon1/shunt1_resistor": "10000",
            "sys/class/hwmon/hwmon2/name": "ina219",
            "sys/class/thermal/thermal_zone0/type": "cpu-thermal",
            "sys/class/thermal/thermal_zone0/temp": "48300",
            "dev/serial/by-id/usb-VictronEnergy_BV_VE_Direct_cable_VE4-if00-port0": "",
        }.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text + "\n")
        text = as_yaml(probe(layout, root=root))
        assert "# now: charge 71 %" in text
        (tmp_path / "edge.yaml").write_text(text)
        config = load(tmp_path / "edge.yaml", env={}).config.power
        assert [source.label for source in config.sources] == [
            "power_supply", "undervoltage", "shunt1", "shunt2", "shunt3", "ina219", "vedirect", "temperature", "disk",
            "clock",
        ]  # fmt: skip

    def test_two_sources_with_the_same_name_get_different_names(
        self, tmp_path: Path, layout: Layout, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A UPS may be called `clock`, and the output must still load."""
        (tmp_path / "upsc").write_text('#!/bin/sh\n[ "$1" = -l ] && printf "clock\\nups\\n"\n')
        (tmp_path / "upsc").chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
        (tmp_path / "edge.yaml").write_text(as_yaml(probe(layout, root=tmp_path / "nothing")))
        sources = load(tmp_path / "edge.yaml", env={}).config.power.sources
        assert [(source.kind, source.label) for source in sources if source.kind in {"nut", "clock"}] == [
            ("nut", "clock"), ("nut", "ups"), ("clock", "clock-2"),
        ]  # fmt: skip

    def test_a_missing_detector_is_a_note(self, tmp_path: Path, layout: Layout) -> None:
        """The rest of the output is still a configuration."""
        text = as_yaml(probe(layout, root=tmp_path / "nothing"))
        assert "no undervoltage detector" in text or "vcgencmd" in text
        assert yaml.safe_load(text)["power"]["sources"][-1] == {"kind": "clock"}
