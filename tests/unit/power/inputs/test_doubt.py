"""Tests of the checks that doubt a value because of its own past."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.power.inputs.doubt import FallCheck, JumpCheck, SupplyCheck


def doubts(jump: JumpCheck, values: list[float], *, supported: bool = False, every_s: float = 10.0) -> list[bool]:
    return [bool(jump.check(every_s * n, value, supported=supported)) for n, value in enumerate(values)]


def test_a_jump_is_believed_once_it_stays_with_volts_that_agree() -> None:
    """After 80 come several values of 12. The third one is believed, since the battery may have been exchanged."""
    assert doubts(JumpCheck(20.0), [80, 12, 12, 12, 12], supported=True) == [False, True, True, False, False]


def test_a_jump_without_supporting_values_is_never_believed() -> None:
    """A gauge that is stuck at 3 % is doubted for the whole hour, so power is never critical."""
    assert doubts(JumpCheck(20.0), [80, *[3] * 360]) == [False, *[True] * 360]


def test_a_charge_that_jumps_back_is_believed_at_once() -> None:
    """It is near the last value that was believed."""
    assert doubts(JumpCheck(20.0), [80, 3, 3, 3, 3, 79]) == [False, True, True, True, True, False]


def test_garbage_that_jumps_about_is_never_believed() -> None:
    """A bus that answers with changing values stays doubted, even if volts agree."""
    values: list[float] = [80, 10, 50, 10, 50, 10]
    assert doubts(JumpCheck(20.0), values, supported=True) == [False, *[True] * 5]


def test_time_between_samples_explains_a_jump() -> None:
    """After a long time without samples a large difference is possible."""
    jump = JumpCheck(20.0)
    assert not jump.check(0.0, 80)
    assert not jump.check(10_000.0, 12)


def test_a_short_gap_explains_only_what_a_battery_can_lose_in_it() -> None:
    """In three minutes without samples no battery falls from 80 to 3 %, so the bus may be stuck."""
    jump = JumpCheck(20.0)
    assert not jump.check(0.0, 80)
    assert jump.check(180.0, 3)


@given(st.lists(st.floats(0, 100), min_size=1, max_size=60))
def test_without_support_a_believed_charge_is_near_the_last_believed_one(values: list[float]) -> None:
    """Whatever a gauge answers every ten seconds, the believed charge changes in small steps only."""
    jump, believed = JumpCheck(20.0), values[0]
    for number, value in enumerate(values):
        if not jump.check(10.0 * number, value):
            assert abs(value - believed) <= 20.0
            believed = value


def test_a_fall_is_counted_from_the_last_rise() -> None:
    """A fall from 62 to 50 counts 12 points. After a rise of one point the count starts again."""
    fall = FallCheck()
    assert [fall.points(10.0 * n, value) for n, value in enumerate([62, 58, 50, 51, 50])] == [0, 4, 12, 0, 1]


@pytest.mark.parametrize(
    ("charges", "discharging", "present"),
    [
        ([62.0], True, None),
        ([62.0, 61.0, 60.0], True, False),
        ([62.0, 58.0, 55.0], False, True),
        ([62.0, 56.0, 52.0], False, None),
        ([50.0, 55.0, 60.0], False, True),
    ],
)
def test_a_supply_is_judged_by_the_charge_of_its_battery(
    charges: list[float], discharging: bool, present: bool | None
) -> None:
    """On line and discharging is unknown, and lost once the charge falls. A silent fall of ten points is a doubt."""
    check = SupplyCheck()
    for number, charge in enumerate(charges):
        found, reason = check.present(10.0 * number, charge, discharging=discharging, status="OL")
    assert found is present
    assert bool(reason) is (present is not True)
    if present is not True:
        assert f"{charges[-1]:g} %" in reason


@pytest.mark.parametrize(
    ("charges", "present"),
    [
        ([62.0, 61.0, 60.5], True),
        ([62.0, 61.0, 60.0], None),
        ([50.0, 55.0, 60.0], True),
        ([62.0, 60.0, 61.0], True),
    ],
)
def test_a_charge_that_falls_while_charging_is_a_doubt(charges: list[float], present: bool | None) -> None:
    """Two points are enough, because a battery that is being charged loses none. The next rise ends the doubt."""
    check = SupplyCheck()
    for number, charge in enumerate(charges):
        found, reason = check.present(10.0 * number, charge, discharging=False, status="CHRG OL", charging=True)
    assert found is present
    assert (reason == "CHRG OL, but the charge fell by 2 points to 60 %") is (present is None)


def test_a_supply_is_believed_if_the_charge_never_falls() -> None:
    """Some models always report OL DISCHRG. After half an hour without a fall, OL is believed."""
    check = SupplyCheck()
    found = [check.present(10.0 * n, 100.0, discharging=True, status="OL and DISCHRG")[0] for n in range(200)]
    assert (found[0], found[-1]) == (None, True)
