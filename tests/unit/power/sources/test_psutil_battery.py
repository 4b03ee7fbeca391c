"""Tests of the source of kind `psutil_battery`."""

from __future__ import annotations

from types import SimpleNamespace

from edge.power.sources.psutil_battery import PsutilBattery, PsutilBatteryConfig
from tests.source_inputs import read


def test_no_battery_is_unknown() -> None:
    """psutil returns None on many Raspberry Pi systems."""
    assert read(PsutilBattery(PsutilBatteryConfig(), sensors=lambda: None))["charge"].reason == "psutil sees no battery"


def test_an_exception_of_psutil_is_unknown() -> None:
    """psutil may raise any error while it parses /sys. The error becomes the reason, and the governor goes on."""

    def fail() -> None:
        raise IndexError("pop from empty list")

    assert (
        read(PsutilBattery(PsutilBatteryConfig(), sensors=fail))["charge"].reason
        == "psutil: IndexError: pop from empty list"
    )


def test_a_charge_that_falls_while_it_is_plugged_in_doubts_the_supply() -> None:
    """psutil only repeats the mains node, so a falling charge counts more."""
    battery = SimpleNamespace(percent=62.0, secsleft=-2, power_plugged=True)
    source = PsutilBattery(PsutilBatteryConfig(), sensors=lambda: battery)
    found = []
    for number, percent in enumerate((62.0, 58.0, 52.0)):
        battery.percent = percent
        found.append(read(source, 10.0 * number)["supply"].value)
    assert found == [1.0, 1.0, None]
