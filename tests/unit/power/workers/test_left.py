"""Tests of the cores, memory and watts that are left for more workers."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.config.power import PowerConfig
from edge.model import Reading
from edge.power.workers import left


def reading(what: str, value: float | None) -> Reading:
    return Reading("source", what, value, "")


@pytest.mark.parametrize(
    ("values", "watts"),
    [
        ({}, None),
        ({"watts": 4.0}, None),
        ({"watts": 4.0, "solar_watts": 10.0}, 6.0),
        ({"watts": 4.0, "solar_watts": 0.0}, -4.0),
        ({"watts": 4.0, "solar_watts": 10.0, "supply": 1.0}, None),
        ({"watts": 4.0, "charge": 80.0}, 21.0),
        ({"watts": 4.0, "charge": 80.0, "solar_watts": 10.0, "supply": 0.0}, 31.0),
        ({"watts": None, "solar_watts": 10.0}, None),
    ],
)
def test_watts(values: dict[str, float | None], watts: float | None) -> None:
    """Unknown watts limit nothing. A battery of 50 Wh counts as the power that it can give for an hour down to 30 %."""
    config = PowerConfig(battery_wh=50.0)
    assert config.thresholds.pause_percent == 30
    found = left.watts([reading(what, value) for what, value in values.items()], config)
    assert found == (None if watts is None else pytest.approx(watts))


def test_memory_is_bounded_by_the_kernel_and_the_container(tmp_path: Path) -> None:
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal: 1000 kB\nMemAvailable:    500 kB\n")
    assert left.memory_bytes(meminfo, tmp_path) == 500 << 10
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("1000\n")
    assert left.memory_bytes(meminfo, tmp_path) == 500 << 10
    (tmp_path / "memory.max").write_text("3000\n")
    assert left.memory_bytes(meminfo, tmp_path) == 2000


def test_unknown_memory_bounds_nothing(tmp_path: Path) -> None:
    assert left.memory_bytes(tmp_path / "none", tmp_path) is None
