"""Tests of the source of kind `power_supply`: batteries and mains of the kernel."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.config.power import PowerConfig
from edge.model import Verdict
from edge.power.inputs.limits import Level
from edge.power.sources.power_supply import PowerSupply, PowerSupplyConfig
from tests.power_day import Sampled, level_after
from tests.source_inputs import read, tree


def test_a_gauge_over_100_is_full(tmp_path: Path) -> None:
    """MAX17040 gauges may report some points over 100, which count as 100."""
    supply = PowerSupply(PowerSupplyConfig(root=tree(tmp_path, {"battery/type": "Battery", "battery/capacity": "104"})))
    assert read(supply)["charge"].value == 100.0


def test_without_mains_and_with_status_unknown_no_supply_is_reported(tmp_path: Path) -> None:
    """From a gauge that never knows whether the battery is charged, nothing follows about the mains."""
    files = {"battery/type": "Battery", "battery/capacity": "50", "battery/status": "Unknown"}
    assert "supply" not in read(PowerSupply(PowerSupplyConfig(root=tree(tmp_path, files))))


def test_without_a_mains_node_the_supply_follows_the_status(tmp_path: Path) -> None:
    """Discharging means on battery, and Charging means power from outside."""
    files = {"battery/type": "Battery", "battery/capacity": "50", "battery/status": "Discharging"}
    supply = PowerSupply(PowerSupplyConfig(root=tree(tmp_path, files)))
    assert read(supply)["supply"].value == 0.0
    tree(tmp_path, {"battery/status": "Charging"})
    assert read(supply)["supply"].value == 1.0


def test_charge_from_energy_or_charge_counters(tmp_path: Path) -> None:
    """Without `capacity`, the charge is calculated from the counters."""
    files = {"b/type": "Battery", "b/charge_now": "1500000", "b/charge_full": "2000000"}
    assert read(PowerSupply(PowerSupplyConfig(root=tree(tmp_path, files))))["charge"].value == 75.0


def test_zero_charge_with_plausible_volts_is_an_empty_battery(tmp_path: Path) -> None:
    """A charge of 0 % alone is a bad bus. With 3.2 V as well, the battery is empty."""
    files = {"b/type": "Battery", "b/capacity": "0", "b/voltage_now": "3200000"}
    assert read(PowerSupply(PowerSupplyConfig(root=tree(tmp_path, files))))["charge"].value == 0.0


def test_several_batteries_have_different_names(tmp_path: Path) -> None:
    """Two batteries give two readings under their own names. A battery that is unplugged becomes unknown."""
    files = {"BAT0/type": "Battery", "BAT0/capacity": "40", "BAT1/type": "Battery", "BAT1/capacity": "60"}
    supply = PowerSupply(PowerSupplyConfig(name="ups", root=tree(tmp_path, files)))
    seen = read(supply)
    assert (seen["ups:BAT0/charge"].value, seen["ups:BAT1/charge"].value) == (40.0, 60.0)
    (tmp_path / "BAT1" / "type").unlink()
    seen = read(supply)
    assert (seen["ups:BAT0/charge"].value, seen["ups:BAT1/charge"].value) == (40.0, None)


def test_a_battery_that_comes_back_under_another_name_is_the_same(tmp_path: Path) -> None:
    """After a driver is bound again, its node may have another number. The old name must not stay unplugged."""
    supply = PowerSupply(
        PowerSupplyConfig(name="ups", root=tree(tmp_path, {"BAT0/type": "Battery", "BAT0/capacity": "40"}))
    )
    assert read(supply)["charge"].value == 40.0
    for name in ("BAT1", "BAT0"):
        (tmp_path / ("BAT0" if name == "BAT1" else "BAT1")).rename(tmp_path / name)
        assert {key: reading.value for key, reading in read(supply).items()} == {"charge": 40.0}


def test_readings_of_vanished_nodes_are_unknown(tmp_path: Path) -> None:
    """If the only mains node vanishes, the supply is unknown. No battery is reported, since there never was one."""
    supply = PowerSupply(PowerSupplyConfig(root=tree(tmp_path, {})))
    assert [(each.what, each.verdict) for each in supply.read(0.0)] == [("source", Verdict.UNKNOWN)]
    tree(tmp_path, {"ac/type": "Mains", "ac/online": "1"})
    assert read(supply)["supply"].value == 1.0
    (tmp_path / "ac" / "type").unlink()
    assert [(each.what, each.verdict) for each in supply.read(0.0)] == [("supply", Verdict.UNKNOWN)]


def test_a_full_battery_may_stand_still(tmp_path: Path) -> None:
    """A battery that stays full on mains for days is not a frozen gauge."""
    files = {"b/type": "Battery", "b/capacity": "97", "b/status": "Full"}
    supply = PowerSupply(PowerSupplyConfig(root=tree(tmp_path, files), frozen_after_s=100.0))
    read(supply, 0.0)
    assert read(supply, 1e6)["charge"].value == 97.0


def test_any_mains_that_is_online_is_power_from_outside(tmp_path: Path) -> None:
    """Of several inputs, one that is online is enough."""
    files = {"usb/type": "USB", "usb/online": "0", "ac/type": "Mains", "ac/online": "1"}
    assert read(PowerSupply(PowerSupplyConfig(root=tree(tmp_path, files))))["supply"].value == 1.0


def battery(root: Path, **files: object) -> Path:
    return tree(root, {f"battery/{name}": str(text) for name, text in {"type": "Battery", **files}.items()})


@pytest.mark.parametrize(
    ("files", "numbers"),
    [
        ({"capacity": 3, "voltage_now": 4_080_000, "status": "Unknown"}, ("3 %", "4.08 V")),
        ({"capacity": 5, "voltage_now": 3_650_000, "status": "Charging"}, ("5 %", "3.65 V")),
        ({"capacity": 95, "voltage_now": 3_350_000, "status": "Unknown"}, ("95 %", "3.35 V")),
        ({"capacity": 0, "voltage_now": 4_000_000, "status": "Unknown"}, ("0 %", "4 V")),
    ],
)
def test_charge_and_volts_that_contradict_are_unknown_with_both_numbers(
    tmp_path: Path, files: dict[str, object], numbers: tuple[str, str]
) -> None:
    """Gauges are wrong after a change of cells or a deep discharge, so the charge is not believed."""
    tree(battery(tmp_path, **files), {"ac/type": "Mains", "ac/online": "1"})
    seen = read(PowerSupply(PowerSupplyConfig(root=tmp_path)))
    assert seen["charge"].value is None
    assert all(number in seen["charge"].reason for number in numbers)
    assert seen["supply"].value == 1.0


@pytest.mark.parametrize("capacity", [3, 95])
def test_a_contradiction_is_never_critical(tmp_path: Path, capacity: int) -> None:
    """If `cells` is set, volts decide too. Then both are doubted, and power is low."""
    volts = {3: 4_080_000, 95: 3_250_000}[capacity]
    battery(tmp_path, capacity=capacity, voltage_now=volts, status="Discharging")
    config = PowerConfig(sources=(PowerSupplyConfig(root=tmp_path, cells=1),))
    assert level_after(config, samples=20) is Level.LOW


@pytest.mark.parametrize(
    ("capacity", "volts"), [(100, 4.2), (90, 3.95), (71, 3.925), (50, 3.8), (20, 3.65), (8, 3.45), (1, 3.3)]
)
@pytest.mark.parametrize("status", ["Charging", "Discharging", "Unknown"])
def test_charge_and_volts_of_a_sound_battery_agree(tmp_path: Path, capacity: int, volts: float, status: str) -> None:
    """Volts change by some hundredths under load and while charging. That is not a contradiction."""
    moved = volts + {"Charging": 0.05, "Discharging": -0.08, "Unknown": 0.0}[status]
    battery(tmp_path, capacity=capacity, voltage_now=round(moved * 1e6), status=status)
    assert read(PowerSupply(PowerSupplyConfig(root=tmp_path)))["charge"].value == float(capacity)


def test_the_meaning_of_volts_depends_on_the_chemistry(tmp_path: Path) -> None:
    """At 3.3 V a Li-ion cell is empty and a LiFePO4 cell is good. A person or the kernel names the chemistry."""
    battery(tmp_path, capacity=70, voltage_now=3_300_000, status="Unknown")
    assert read(PowerSupply(PowerSupplyConfig(root=tmp_path)))["charge"].value is None
    assert read(PowerSupply(PowerSupplyConfig(root=tmp_path, chemistry="lifepo4")))["charge"].value == 70.0
    tree(tmp_path, {"battery/technology": "LiFe"})
    assert read(PowerSupply(PowerSupplyConfig(root=tmp_path)))["charge"].value == 70.0


def test_the_tolerance_can_be_set(tmp_path: Path) -> None:
    """A gauge with a known error is believed with a wider tolerance. With 0, nothing is compared."""
    battery(tmp_path, capacity=20, voltage_now=3_900_000, status="Unknown")
    for tolerance, value in ((10.0, None), (60.0, 20.0), (0.0, 20.0)):
        record = PowerSupplyConfig(root=tmp_path, charge_tolerance_percent=tolerance)
        assert read(PowerSupply(record))["charge"].value == value


def test_volts_of_an_unknown_number_of_cells_contradict_nothing(tmp_path: Path) -> None:
    """11.1 V may be three good cells or four empty ones."""
    battery(tmp_path, capacity=80, voltage_now=11_100_000, status="Unknown")
    assert read(PowerSupply(PowerSupplyConfig(root=tmp_path)))["charge"].value == 80.0


def test_a_gauge_that_sticks_at_3_percent_after_80_is_never_critical(tmp_path: Path) -> None:
    """Without volts or current the charge stays unknown for the whole hour, which counts as low."""
    battery(tmp_path, capacity=80)
    day = Sampled(PowerConfig(sources=(PowerSupplyConfig(root=tmp_path),)))
    assert day.samples(3) is Level.NORMAL
    battery(tmp_path, capacity=3)
    assert {day.samples(1) for _ in range(360)} == {Level.NORMAL, Level.LOW}


def test_a_jump_with_volts_that_agree_is_believed(tmp_path: Path) -> None:
    """The battery was really changed, and its volts prove it."""
    battery(tmp_path, capacity=80, voltage_now=3_980_000)
    day = Sampled(PowerConfig(sources=(PowerSupplyConfig(root=tmp_path),)))
    assert day.samples(3) is Level.NORMAL
    battery(tmp_path, capacity=3, voltage_now=3_330_000)
    assert day.samples(6) is Level.CRITICAL


@pytest.mark.parametrize(("status", "level"), [("Charging", Level.LOW), ("Discharging", Level.CRITICAL)])
def test_an_empty_battery_that_is_charged_is_low(tmp_path: Path, status: str, level: Level) -> None:
    """A shutdown would save nothing, because the battery is being charged."""
    battery(tmp_path, capacity=8, voltage_now=3_480_000, status=status)
    assert level_after(PowerConfig(sources=(PowerSupplyConfig(root=tmp_path),)), samples=10) is level


def test_mains_that_are_online_while_the_battery_drains_are_doubted(tmp_path: Path) -> None:
    """With online and Discharging the supply is unknown at first, and lost once the charge has fallen."""
    tree(battery(tmp_path, capacity=62, status="Discharging"), {"ac/type": "Mains", "ac/online": "1"})
    supply = PowerSupply(PowerSupplyConfig(root=tmp_path))
    first = read(supply, 0.0)["supply"]
    assert first.value is None
    assert "62 %" in first.reason
    tree(tmp_path, {"battery/capacity": "58"})
    second = read(supply, 10.0)["supply"]
    assert second.value == 0.0
    assert "fell by 4 points" in second.reason
