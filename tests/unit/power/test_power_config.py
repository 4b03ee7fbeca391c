"""Tests of the section `power` of edge.yaml: typical boards load, and each mistake is refused in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.config import load
from edge.config.kinds import built_in_kinds
from edge.config.power import PowerConfig
from edge.core.errors import ConfigError
from edge.power.policy.rules import Band, Level, from_config
from edge.power.sources import configured

BOARDS = {
    "plain plug": "sources: []",
    "plain plug, watched": "sources: [{kind: plain}, {kind: undervoltage}, {kind: temperature}, {kind: disk}]",
    "UPS by NUT": "sources: [{kind: nut, ups: pijuice@localhost}]",
    "Geekworm X1200": """
  sources:
    - {kind: power_supply, device: battery}
    - {kind: pin, name: mains, pin: 6, tells: supply, active: high}
""",
    "INA219 HAT": """
  sources:
    - {kind: shunt, chip: ina219, shunt_milliohm: 100, chemistry: li-ion, cells: 2}
""",
    "Victron solar": """
  sources:
    - {kind: vedirect, device: /dev/ttyUSB0, chemistry: lifepo4, cells: 4}
  policy:
    windows:
      - {from: 10:00, to: "16:00", unknown_as: normal}
""",
    "bare pin": """
  sources:
    - {kind: pin, pin: GPIO5, tells: low_battery, active: low, pull: none}
  led: {pin: 17}
  button: {pin: 27, hold_s: 3}
""",
}


def read(tmp_path: Path, power: str) -> PowerConfig:
    (tmp_path / "edge.yaml").write_text(f"power:\n  {power}\n")
    return load(tmp_path / "edge.yaml", env={}).config.power


@pytest.mark.parametrize("board", BOARDS)
def test_boards_as_people_wire_them(tmp_path: Path, board: str) -> None:
    """Each configuration loads and gives rules for the policy."""
    config = read(tmp_path, BOARDS[board])
    assert from_config(config).by_what["charge"].band is not None
    assert len({source.label for source in configured(config)}) == len(configured(config)) > 0


@pytest.mark.parametrize(
    ("power", "key", "words"),
    [
        ("sources: [{kind: ups}]", "power.sources[0].kind", f"expected one of {', '.join(built_in_kinds())}"),
        ("sources: [{pin: 6}]", "power.sources[0].kind", f"required: one of {built_in_kinds()[0]}"),
        ("sources: [{kind: pin}]", "power.sources[0].pin", "required: a whole number from 0 to 63"),
        ("sources: [{kind: pin, pin: 6, pol: high}]", "power.sources[0].pol", "allowed here: kind, pin, tells, active"),
        ("sources: [{kind: pin, pin: 6, active: up}]", "power.sources[0].active", "expected one of high, low"),
        ("sources: [{kind: nut, ups: 'a b'}]", "power.sources[0].ups", "expected text that matches"),
        ("sources: [{kind: plain}, {kind: plain}]", "power.sources[1].name", "power.sources[0] has it already"),
        ("sources: [{kind: temperature, pause_c: 60}]", "power.sources[0].resume_c", "must be below"),
        ("sources: [{kind: disk, pause_free_mb: 600}]", "power.sources[0].pause_free_mb", "must be below"),
        ("sources: [{kind: shunt, volts: {critical: 4, pause: 3, resume: 5}}]", "power.sources[0].volts.critical",
         "must be below power.sources[0].volts.pause (3)"),
        ("sources: [{kind: simulated, day_s: 60, script: [{for_s: 1, state: low}]}]", "power.sources[0].day_s",
         "give either this or"),
        ("sources: [{kind: simulated, script: [{for_s: 1, state: sunny}]}]", "power.sources[0].script[0].state",
         "expected one of critical, low"),
        ("policy: {windows: [{from: '10:00', to: '16:00'}]}", "power.policy.windows[0].at_most", "exactly one"),
        ("policy: {windows: [{from: '25:00', to: '16:00', at_most: low}]}", "power.policy.windows[0].from",
         "a time of day such as 22:00"),
        ("policy: {windows: [{from: 10:00, to: '10:00', at_most: low}]}", "power.policy.windows[0].to", "must differ"),
        ("sampling: {fast_s: 20}", "power.sampling.sample_s", "must lie between"),
        ("{sources: [{kind: pin, pin: 6}, {kind: pin, name: lbo, pin: GPIO6}]}", "power.sources[1].pin",
         "power.sources[0].pin has it already"),
        ("{sources: [{kind: pin, pin: 6}], button: {pin: 6}}", "power.button.pin", "a pin has one owner"),
        ("{led: {pin: BCM17}, button: {pin: 17}}", "power.button.pin", "power.led.pin has it already"),
        ("{sources: [{kind: pin, pin: 6}, {kind: pin, name: b, pin: BOARD31}]}", "power.sources[1].pin",
         "power.sources[0].pin has it already; a pin has one owner"),
        ("{sources: [{kind: pin, pin: WPI22}, {kind: pin, name: b, pin: 'J8:31'}]}", "power.sources[1].pin",
         "a pin has one owner"),
        ("{sources: [{kind: pin, pin: BCM6}], led: {pin: BOARD31}}", "power.led.pin", "a pin has one owner"),
        ("sources: [{kind: pin, pin: 06}]", "power.sources[0].pin", "a whole number from 0 to 63, or a name"),
        ("sources: [{kind: pin, pin: '06'}]", "power.sources[0].pin", "a whole number from 0 to 63, or a name"),
        ("sources: [{kind: pin, pin: gpio6}]", "power.sources[0].pin", "a name such as GPIO6"),
        ("sources: [{kind: pin, pin: BOARD39}]", "power.sources[0].pin", "a name such as GPIO6"),
        ("button: {pin: GPIO06}", "power.button.pin", "a name such as GPIO6"),
        ("policy: {windows: [{from: 0600, to: 0730, at_most: low}]}", "power.policy.windows[0].from",
         'a time of day such as 22:00, in quotes: "06:00"'),
        ("policy: {windows: [{from: '06:00', to: 0730, at_most: low}]}", "power.policy.windows[0].to",
         'in quotes: "07:30"'),
        ("policy: {windows: [{from: 930, to: '16:00', at_most: low}]}", "power.policy.windows[0].from",
         'in quotes: "09:30"'),
        ("policy: {windows: [{from: 0930, to: '16:00', at_most: low}]}", "power.policy.windows[0].from",
         'in quotes: "09:30"'),
        ("policy: {windows: [{from: 0, to: '16:00', at_most: low}]}", "power.policy.windows[0].from",
         'in quotes: "00:00"'),
        ("policy: {windows: [{from: 1380, to: '16:00', at_most: low}]}", "power.policy.windows[0].from", "in quotes"),
        ("policy: {windows: [{from: 6:00, to: 7:30, at_most: low}]}", "power.policy.windows[0].from",
         'in quotes: "06:00"'),
        ("sampling: {sample_s: 010}", "power.sampling.sample_s", "a number from 0.1"),
        ("sampling: {sample_s: 1:30}", "power.sampling.sample_s", "a number from 0.1"),
        ("led: {pin: 3, colour: red}", "power.led.colour", "allowed here: pin, active, pwm"),
        ("critical: {action: reboot}", "power.critical.action", "expected one of none, poweroff"),
    ],
)  # fmt: skip
def test_mistakes_are_one_line_with_key_value_and_what_is_allowed(
    tmp_path: Path, power: str, key: str, words: str
) -> None:
    """No value is guessed or reset to a default."""
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, power)
    assert caught.value.key == key
    assert words in caught.value.allowed
    assert "\n" not in str(caught.value)


def test_cells_and_chemistry_mean_volts(tmp_path: Path) -> None:
    """Two Li-ion cells pause at 7.0 V and resume at 7.4 V. The key `volts` comes before `cells`."""
    config = read(tmp_path, "sources: [{kind: shunt, cells: 2}]")
    rule = from_config(config).rule("shunt", "volts")
    assert rule is not None
    assert rule.band == Band(7.0, 7.4, 6.6, 8.2)
    config = read(tmp_path, "sources: [{kind: shunt, cells: 2, volts: {critical: 10, pause: 11, resume: 12}}]")
    rule = from_config(config).rule("shunt", "volts")
    assert rule is not None
    assert rule.band == Band(11.0, 12.0, 10.0, None)


def test_volts_decide_nothing_without_cells_or_limits(tmp_path: Path) -> None:
    """The shunt may be in the board's 5 V supply, which is not a battery."""
    assert from_config(read(tmp_path, "sources: [{kind: shunt}]")).rule("shunt", "volts") is None


def test_a_time_of_day_unquoted_is_the_same_time(tmp_path: Path) -> None:
    """YAML 1.1 reads 22:30 as a number. It is taken for the time that the person meant."""
    (window,) = from_config(read(tmp_path, "policy: {windows: [{from: 22:30, to: 06:15, at_most: low}]}")).windows
    assert (window.first, window.end, window.at_most) == (22 * 60 + 30, 6 * 60 + 15, Level.LOW)


def test_a_relative_path_is_relative_to_the_file(tmp_path: Path) -> None:
    """This is the rule for all paths in edge.yaml."""
    (source,) = read(tmp_path, "sources: [{kind: temperature, path: zone/temp}]").sources
    assert getattr(source, "path", None) == tmp_path / "zone" / "temp"
