"""Tests of the contract of all sources: each kind is tested on a rig with its real input."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edge.model import Reading, Verdict

if TYPE_CHECKING:
    from tests.unit.power.rigs.rig import Rig

STEP_S = 10.0


class Clockwork:
    """Reads the source of a rig every ten seconds of a simulated clock."""

    def __init__(self, rig: Rig) -> None:
        self.rig, self.now = rig, 1000.0

    def read(self) -> dict[str, Reading]:
        self.now += STEP_S
        readings = self.rig.source.read(self.now)
        assert readings, "the source returned no reading"
        for reading in readings:
            assert (reading.value is None) == (reading.verdict is Verdict.UNKNOWN)
            assert reading.value is not None or reading.reason, "an unknown reading has no reason"
            assert 0.0 <= reading.age_s <= self.now
        return {reading.what: reading for reading in readings}

    def read_good(self) -> dict[str, Reading]:
        """Put good input in place and read until it is believed, at most four times."""
        for _ in range(4):
            expected = self.rig.good()
            seen = self.read()
            if all(what in seen and seen[what].value is not None for what in expected):
                break
        assert {what: seen[what].value for what in expected} == pytest.approx({w: v[0] for w, v in expected.items()})
        assert {what: seen[what].unit for what in expected} == {w: v[1] for w, v in expected.items()}
        return seen


@pytest.fixture
def clockwork(rig: Rig) -> Clockwork:
    return Clockwork(rig)


def test_good_input_gives_the_value_in_its_unit(clockwork: Clockwork) -> None:
    """Each reading has the right value, unit and source, and its age is at most one period."""
    for reading in clockwork.read_good().values():
        assert reading.source == clockwork.rig.source.name  # type: ignore[attr-defined] # each kind has one
        assert reading.age_s <= STEP_S


def test_broken_input_is_unknown_and_a_mended_one_is_read_again(clockwork: Clockwork) -> None:
    """Missing, garbled, zero and absurd input gives an unknown reading with a reason, and never an exception.

    A source may keep its last value for a while first.
    """
    rig = clockwork.rig
    for name, break_it in rig.faults.items():
        clockwork.read_good()
        break_it()
        for _ in range(2 if name == "jumped" else 5):
            seen = clockwork.read()
            if name in {"silent", "bad checksum", "noise"} and seen[rig.main].value is not None:
                assert seen[rig.main].age_s > 0, name
                continue
            assert rig.main in seen, (name, seen)
            assert seen[rig.main].verdict is Verdict.UNKNOWN, (name, seen)
        assert seen[rig.main].verdict is Verdict.UNKNOWN, name
    clockwork.read_good()


@pytest.mark.parametrize(
    "rig",
    ["power_supply", "psutil_battery", "undervoltage by hwmon", "undervoltage by get_throttled",
     "undervoltage by vcgencmd", "shunt", "nut", "vedirect", "temperature", "disk"],
    indirect=True,
)  # fmt: skip
def test_a_source_without_any_device_yet_is_unknown(clockwork: Clockwork) -> None:
    """While there is no device, the reading is unknown. It is good once the device is plugged in."""
    seen = clockwork.read()
    # A source that does not know yet which quantities it will measure reports the quantity `source`.
    assert seen.keys() & {clockwork.rig.main, "source"}, seen
    assert {each.verdict for each in seen.values()} == {Verdict.UNKNOWN}
    clockwork.read_good()


@pytest.mark.parametrize("rig", ["power_supply", "shunt", "temperature"], indirect=True)
def test_a_frozen_sensor_becomes_unknown(clockwork: Clockwork) -> None:
    """Real values have noise. Values that do not change by a digit for a long time are not believed."""
    rig = clockwork.rig
    clockwork.read_good()
    for _ in range(int(rig.frozen_after_s / STEP_S) + 1):
        seen = clockwork.read()
    assert seen[rig.main].verdict is Verdict.UNKNOWN
    assert "frozen" in seen[rig.main].reason


def test_close_is_idempotent_and_a_later_read_opens_again(clockwork: Clockwork) -> None:
    """`close` may be called twice, before and after a read, and a later read works."""
    clockwork.rig.source.close()
    clockwork.rig.source.close()
    clockwork.read_good()
    clockwork.rig.source.close()
    clockwork.rig.source.close()
    clockwork.read_good()
