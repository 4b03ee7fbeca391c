"""Tests of the source of kind `shunt`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest

from edge.config import load
from edge.core.errors import ConfigError
from edge.core.layout import Layout
from edge.power.probe import as_yaml, probe
from edge.power.sources.shunt import Shunt, ShuntConfig
from tests.source_inputs import read, tree

INA219 = {
"hwmon0/name": "ina219", "hwmon0/in1_input": "5100", "hwmon0/curr1_input": "800",
"hwmon0/power1_input": "4080000", "hwmon0/shunt_resistor": "10000",
}  # fmt: skip


def test_a_wrong_shunt_makes_the_current_unknown_and_leaves_the_volts(tmp_path: Path) -> None:
    """The current would be wrong by a factor of ten. The bus voltage does not depend on the shunt."""
    seen = read(Shunt(ShuntConfig(root=tree(tmp_path, INA219), shunt_milliohm=100.0)))
    assert seen["volts"].value == 5.1
    assert (seen["amps"].value, seen["watts"].value) == (None, None)
    assert "10 milliohm, but `shunt_milliohm` is 100" in seen["watts"].reason


def test_the_reason_names_the_value_of_an_unchecked_shunt(tmp_path: Path) -> None:
    """Without `shunt_milliohm`, the reason says for which value of the shunt the current is right."""
    seen = read(Shunt(ShuntConfig(root=tree(tmp_path, INA219))))
    assert (seen["watts"].value, seen["watts"].reason) == (4.08, "correct only if the shunt has 10 milliohm")


def test_a_channel_of_an_ina3221(tmp_path: Path) -> None:
    """The chip has three channels with their own shunts, and no power register. Watts are volts times amps."""
    files = {"name": "ina3221", "shunt1_resistor": "100000", "shunt2_resistor": "100000"}
    files |= {"in1_input": "12000", "in2_input": "5000", "curr1_input": "1", "curr2_input": "1200"}
    tree(tmp_path / "hwmon0", files)
    seen = read(Shunt(ShuntConfig(root=tmp_path, channel=2, shunt_milliohm=100)))
    assert (seen["volts"].value, seen["amps"].value, seen["watts"].value) == (5.0, 1.2, 6.0)


INA3221 = {
    "hwmon0/name": "ina3221", "hwmon0/shunt1_resistor": "100000", "hwmon0/in1_input": "5000",
    "hwmon0/curr1_input": "-850",
}  # fmt: skip


def ina219(root: Path, milliamps: int) -> Path:
    return tree(
        root,
        {**INA219, "hwmon0/in1_input": "8300", "hwmon0/curr1_input": str(milliamps), "hwmon0/power1_input": "7470000"},
    )


@pytest.mark.parametrize(
    ("current", "milliamps", "watts", "discharging"),
    [
        ("discharge_positive", 900, 7.47, 1.0),
        ("discharge_positive", -900, -7.47, 0.0),
        ("charge_positive", 900, -7.47, 0.0),
        ("charge_positive", -900, 7.47, 1.0),
    ],
)
def test_the_shunt_of_a_battery_has_a_sign(
    tmp_path: Path,
    current: Literal["discharge_positive", "charge_positive"],
    milliamps: int,
    watts: float,
    discharging: float,
) -> None:
    """`power1_input` has no sign, so the watts get that of the current. Power out of the battery is positive."""
    seen = read(Shunt(ShuntConfig(root=ina219(tmp_path, milliamps), measures="battery", current=current)))
    assert seen["battery_watts"].value == watts
    assert seen["battery_amps"].value == (0.9 if discharging else -0.9)
    assert seen["discharging"].value == discharging
    assert not {"watts", "amps"} & seen.keys()


@pytest.mark.parametrize("milliamps", [900, -900])
def test_the_shunt_of_the_board_is_never_negative(tmp_path: Path, milliamps: int) -> None:
    """A board only draws power, whichever way its shunt is soldered. This holds for an ina219 and an ina3221."""
    assert read(Shunt(ShuntConfig(root=ina219(tmp_path, milliamps), measures="board")))["watts"].value == 7.47
    tree(tmp_path / "other", INA3221)
    assert read(Shunt(ShuntConfig(root=tmp_path / "other", measures="board")))["watts"].value == 4.25


def test_a_current_that_flows_backwards_is_unknown_without_measures(tmp_path: Path) -> None:
    """A battery may be charging, or the shunt may be the other way round, so no job may be booked these watts."""
    seen = read(Shunt(ShuntConfig(root=tree(tmp_path, INA3221))))
    assert seen["watts"].value is None
    assert "`measures: battery`" in seen["watts"].reason
    assert "`current: charge_positive`" in seen["watts"].reason


def test_with_cells_it_is_the_shunt_of_a_battery() -> None:
    """If `cells` is set, the volts are those of a battery. The key `measures` overrides this."""
    assert not ShuntConfig().of_battery
    assert ShuntConfig(cells=2).of_battery
    assert not ShuntConfig(cells=2, measures="board").of_battery
    assert ShuntConfig(measures="battery").of_battery


def two_chips(root: Path) -> Path:
    """Make the files of two INA219 on one bus. They have the same name and different addresses."""
    for number, (address, volts) in enumerate((("1-0040", "5100"), ("1-0041", "12600"))):
        (root / "bus" / address).mkdir(parents=True)
        tree(root / f"hwmon{number}", {**{k.partition("/")[2]: v for k, v in INA219.items()}, "in1_input": volts})
        (root / f"hwmon{number}" / "device").symlink_to(root / "bus" / address)
    return root


def test_two_chips_of_one_kind_are_found_by_address(tmp_path: Path) -> None:
    """`device: 1-0041` is the second chip, however the kernel numbers the folders."""
    root = two_chips(tmp_path)
    for address, volts in (("1-0040", 5.1), ("1-0041", 12.6)):
        assert read(Shunt(ShuntConfig(root=root, chip="ina219", device=address)))["volts"].value == volts
    assert "at 1-0042" in read(Shunt(ShuntConfig(root=root, device="1-0042")))["volts"].reason


def test_probe_prints_addresses_and_different_names(tmp_path: Path) -> None:
    """The configuration for two chips of one kind loads, with two names and two devices."""
    (tmp_path / "sys/class").mkdir(parents=True)
    two_chips(tmp_path / "sys/class/hwmon")
    text = as_yaml(probe(Layout(tmp_path / "root", tmp_path / "run"), root=tmp_path))
    (tmp_path / "edge.yaml").write_text(text)
    shunts = [source for source in load(tmp_path / "edge.yaml", {}).config.power.sources if source.kind == "shunt"]
    assert [(s.label, getattr(s, "device", None)) for s in shunts] == [
        ("ina219-1-0040", "1-0040"), ("ina219-1-0041", "1-0041"),
    ]  # fmt: skip
    assert "now: volts 12.6 V" in text


def test_the_same_channel_twice_is_refused(tmp_path: Path) -> None:
    """Both would read the first chip, and its watts would count twice."""
    (tmp_path / "edge.yaml").write_text("power: {sources: [{kind: shunt}, {kind: shunt, name: other}]}")
    with pytest.raises(ConfigError, match=r"power.sources\[1\].channel = 1: power.sources\[0\].channel has it already"):
        load(tmp_path / "edge.yaml", {})
