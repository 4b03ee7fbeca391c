"""Tests of the source of kind `vedirect`: frames, chargers and battery monitors."""

from __future__ import annotations

import os
import pty
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.config import load
from edge.config.power import PowerConfig
from edge.core.errors import ConfigError
from edge.model import Reading, Verdict
from edge.power.inputs.limits import Level
from edge.power.policy import policy
from edge.power.policy.rules import from_config
from edge.power.sources.vedirect import Frames, VeDirect, VeDirectConfig
from tests.source_inputs import frame, read


def test_the_reason_names_a_device_that_is_no_serial_port(tmp_path: Path) -> None:
    """For example, the path may be mistyped, or it may be a file."""
    (tmp_path / "tty").write_text("x")
    seen = read(VeDirect(VeDirectConfig(device=tmp_path / "tty")))
    assert seen["volts"].reason == f"{tmp_path / 'tty'}: Inappropriate ioctl for device"


def test_frames_come_in_any_pieces() -> None:
    """The stream may come in pieces of any size, and begin in the middle of a frame."""
    one = frame(("V", "13150"), ("CS", "5"))
    stream = one[7:] + one * 3
    frames = Frames()
    assert sum(len(list(frames.feed(stream[i : i + 3]))) for i in range(0, len(stream), 3)) == 3
    assert frames.bad == 1


def test_hex_messages_between_do_not_spoil_a_frame() -> None:
    """Answers of the HEX protocol may come inside a text frame, and are not part of its checksum."""
    one = frame(("V", "13150"), ("CS", "5"))
    cut = one.index(b"\r\nCS")
    assert [f["V"] for f in Frames().feed(one[:cut] + b":A0002000148\n" + one[cut:])] == ["13150"]


@pytest.mark.parametrize(
    ("phase", "verdict"),
    [("3", Verdict.OK), ("4", Verdict.SURPLUS), ("5", Verdict.SURPLUS), ("0", Verdict.OK), ("2", Verdict.LOW),
     ("99", Verdict.UNKNOWN), ("x", Verdict.UNKNOWN)],
)  # fmt: skip
def test_the_phase_of_the_charger(tmp_path: Path, phase: str, verdict: Verdict) -> None:
    """Absorption and float mean surplus. A fault makes power low, but the phase off does not."""
    master, slave = pty.openpty()
    source = VeDirect(VeDirectConfig(device=Path(os.ttyname(slave))))
    source.read(0.0)
    os.write(master, frame(("V", "13150"), ("CS", phase), ("ERR", "17")))
    assert read(source, 1.0)["phase"].verdict is verdict
    source.close()
    os.close(master)
    os.close(slave)


@pytest.mark.parametrize(
    ("error", "level"), [("0", Level.SURPLUS), ("17", Level.NORMAL), ("x", Level.NORMAL), ("", Level.NORMAL)]
)
def test_a_charger_with_an_error_gives_no_surplus(line: Line, error: str, level: Level) -> None:
    """A charger with an error, such as too much heat, may still report float. Then the battery alone decides."""
    rules, state = from_config(PowerConfig(sources=(line.record,))), policy.PolicyState()
    for _ in range(3):
        seen = line.reads(frame(("V", "13150"), ("CS", "5"), ("ERR", error)))
        state = policy.step(rules, state, tuple(seen.values()), line.now, 720)
    assert state.level is level
    assert ("ERR" in seen["condition"].reason) is (error != "0")


def test_age_grows_while_the_line_is_silent() -> None:
    """The age is the time since the last frame came at the earliest. Above the limit the reading is unknown."""
    master, slave = pty.openpty()
    source = VeDirect(VeDirectConfig(device=Path(os.ttyname(slave))))
    source.read(0.0)
    os.write(master, frame(("V", "13150"), ("CS", "3")))
    ages = [read(source, now)["volts"] for now in (10.0, 20.0, 30.0, 40.0)]
    assert [r.age_s for r in ages] == [10.0, 20.0, 30.0, 40.0]
    assert [r.value for r in ages] == [13.15, 13.15, 13.15, None]
    source.close()
    os.close(master)
    os.close(slave)


MONITOR = (
    ("PID", "0xA389"), ("V", "13226"), ("I", "-1500"), ("P", "-20"), ("SOC", "876"), ("TTG", "4380"), ("Alarm", "OFF"),
)  # fmt: skip
HISTORY = (("H1", "-102738"), ("H2", "-1"), ("H18", "5"))
#: A HEX message as some firmware sends it: with another byte in place of the newline at its end.
HEX = b":A0102000543\xfe"


class Line:
    """A pty in place of the serial port, with a source that reads it every ten seconds of a simulated clock."""

    def __init__(self, **fields: Any) -> None:
        self.master, self.slave = pty.openpty()
        self.record = VeDirectConfig(device=Path(os.ttyname(self.slave)), **fields)
        self.source = VeDirect(self.record)
        self.now = 0.0
        self.source.read(self.now)

    def reads(self, *data: bytes) -> dict[str, Reading]:
        for piece in data:
            os.write(self.master, piece)
        self.now += 10.0
        return read(self.source, self.now)


@pytest.fixture
def line() -> Iterator[Line]:
    made = Line()
    yield made
    made.source.close()
    os.close(made.master)
    os.close(made.slave)


def test_a_battery_monitor_has_charge_and_runtime_and_no_phase(line: Line) -> None:
    """SOC is in per mille, TTG in minutes, and a current out of the battery is negative. Only chargers have a phase."""
    seen = line.reads(frame(*MONITOR), frame(*HISTORY))
    assert (seen["charge"].value, seen["runtime"].value, seen["amps"].value) == (87.6, 262_800.0, -1.5)
    assert (seen["battery_watts"].value, seen["discharging"].value) == (20.0, 1.0)
    assert "phase" not in seen


def test_a_battery_monitor_is_normal_power(line: Line) -> None:
    """A monitor without a charger's state once made power low without an end."""
    rules, state = from_config(PowerConfig(sources=(line.record,))), policy.PolicyState()
    for _ in range(3):
        readings = tuple(line.reads(frame(*MONITOR)).values())
        state = policy.step(rules, state, readings, line.now, 720)
    assert state.level is Level.NORMAL


@pytest.mark.parametrize(
    ("fields", "what", "value", "verdict"),
    [
        ({"ERR": "0", "Alarm": "OFF"}, "condition", 1.0, Verdict.SURPLUS),
        ({"ERR": "17", "Alarm": "OFF"}, "condition", 0.0, Verdict.OK),
        ({"TTG": "-1"}, "runtime", None, None),
        ({"SOC": "---"}, "charge", None, Verdict.UNKNOWN),
        ({"SOC": "1001"}, "charge", None, Verdict.UNKNOWN),
        ({"Alarm": "ON", "AR": "4"}, "low_battery", 1.0, Verdict.LOW),
        ({"Alarm": "ON", "AR": "64"}, "condition", 0.0, Verdict.OK),
        ({"Alarm": "OFF", "AR": "4"}, "low_battery", 0.0, Verdict.OK),
    ],
)
def test_alarms_and_special_values_of_a_monitor(
    line: Line, fields: dict[str, str], what: str, value: float | None, verdict: Verdict | None
) -> None:
    """TTG -1 is infinite, and SOC --- is unknown. An alarm about an empty battery is low; others forbid surplus."""
    seen = line.reads(frame(*(dict(MONITOR) | fields).items()))
    found = seen.get(what)
    assert (found.value if found else None, found.verdict if found else None) == (value, verdict)


def test_a_monitor_that_falls_silent_is_unknown(line: Line) -> None:
    """Its charge, which decides, is then unknown."""
    line.reads(frame(*MONITOR))
    line.now += 100.0
    seen = line.reads()
    assert seen["charge"].value is None
    assert "no good frame" in seen["charge"].reason


def test_a_field_that_no_longer_comes_grows_old(line: Line) -> None:
    """A monitor sends two frames in turn. If only the history arrives complete, volts and charge become unknown."""
    line.reads(frame(*MONITOR))
    for _ in range(3):
        seen = line.reads(frame(*HISTORY))
    assert seen["charge"].age_s == 40.0 or seen["charge"].value is None
    seen = line.reads(frame(*HISTORY))
    assert (seen["charge"].value, seen["volts"].value) == (None, None)


def test_charge_and_volts_of_a_monitor_may_contradict_each_other() -> None:
    """With 87.6 % at 11.5 V of four LiFePO4 cells, neither value is believed."""
    line = Line(chemistry="lifepo4", cells=4)
    seen = line.reads(frame(*(dict(MONITOR) | {"V": "11500"}).items()))
    assert (seen["charge"].value, seen["volts"].value) == (None, None)
    assert "87.6 % and 11.5 V contradict" in seen["charge"].reason
    line.source.close()


@pytest.mark.parametrize(
    "stream",
    [
        (HEX + frame(*MONITOR)) * 3,
        frame(*MONITOR)[:30] + HEX + frame(*MONITOR)[30:],
        frame(*MONITOR)[:40] + b":A0102000543\n" + frame(*MONITOR)[40:],
        b"\xff\x00garbage" + HEX + frame(*MONITOR),
        frame(*MONITOR)[:60] + frame(*MONITOR),
        HEX * 5 + frame(*HISTORY) + HEX + frame(*MONITOR),
    ],
    ids=["before each", "inside", "inside with newline", "noise", "a frame cut short", "before both blocks"],
)
def test_the_reader_finds_the_frame_again(line: Line, stream: bytes) -> None:
    """HEX messages with and without newline, noise and incomplete frames spoil at most one frame."""
    assert line.reads(stream)["charge"].value == 87.6


def test_two_readers_of_one_port_are_refused(tmp_path: Path) -> None:
    """Each reader would get only a part of the frames."""
    (tmp_path / "edge.yaml").write_text("power: {sources: [{kind: vedirect}, {kind: vedirect, name: other}]}")
    with pytest.raises(ConfigError, match="a serial port has one owner"):
        load(tmp_path / "edge.yaml", {})


junk = st.one_of(
    st.sampled_from([b"", HEX, b":A0102000543\n", b":7F", b"\r\n", b"Checksum", frame(*MONITOR)[:50]]),
    st.binary(max_size=12),
)


@given(before=st.lists(junk, max_size=3), cut=st.integers(1, 40))
def test_after_any_noise_the_next_whole_frames_are_read(before: list[bytes], cut: int) -> None:
    """For any bytes before, and pieces of any size, the second of two complete frames is read."""
    stream = b"".join(before) + frame(*MONITOR) + frame(*MONITOR)
    frames = Frames()
    found = [each for at in range(0, len(stream), cut) for each in frames.feed(stream[at : at + cut])]
    assert found
    assert found[-1] == dict(MONITOR)
