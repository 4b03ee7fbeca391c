"""The set-up with an INA219 of `docs/how-to/power-set-ups.md` pauses at 40 % charge, as the page says."""

from __future__ import annotations

from pathlib import Path

import yaml

from edge.config import load
from edge.power.inputs.limits import Level
from tests.docs.pages import marked
from tests.power_day import Sampled
from tests.unit.power.rigs.rig import write


def test_a_battery_with_an_ina219_pauses_at_40_percent_and_goes_on_at_55(tmp_path: Path) -> None:
    """Two lithium cells pause below 7.4 V and resume above 7.6 V; the kernel's files are simulated with some noise."""
    chip = tmp_path / "hwmon1"
    for name, text in {"name": "ina219", "in0_input": "41", "power1_input": "5000000"}.items():
        write(chip / name, text + "\n")
    write(chip / "shunt_resistor", "100000\n")
    (text,) = [text for text in marked("docs/how-to/power-set-ups.md", "edge.yaml") if "pause: 7.4" in text]
    tree = yaml.safe_load(text)
    tree["power"]["sources"][0]["root"] = str(tmp_path)
    (tmp_path / "edge.yaml").write_text(yaml.safe_dump(tree))
    day = Sampled(load(tmp_path / "edge.yaml", {}).config.power)

    def at(millivolts: int, samples: int) -> Level:
        for number in range(samples):
            write(chip / "in1_input", f"{millivolts + number % 2}\n")
            write(chip / "curr1_input", f"{650 + number % 3}\n")
            level = day.samples(1)
        return level

    assert at(7700, 5) is Level.NORMAL
    assert at(7420, 5) is Level.NORMAL
    assert at(7390, 5) is Level.LOW
    assert at(7590, 40) is Level.LOW  # not good, no matter how long
    assert at(7610, 4) is Level.LOW  # good, but not yet long enough
    assert at(7610, 40) is Level.NORMAL
    assert at(8250, 40) is Level.SURPLUS
    assert at(6990, 5) is Level.CRITICAL
