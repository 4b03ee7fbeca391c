"""Slots are put into steps. Nothing is counted twice, and unknown values stay unknown."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge.gateway.background.activity import JobSlot
from edge.gateway.series import joined
from edge.power.series import SLOT_S, Mean, PowerSlot
from edge.wire import SeriesPoint

_FIRST = 1_800_000_000 // (12 * SLOT_S) * 12 * SLOT_S


def points(
    power: dict[int, PowerSlot] | None = None,
    jobs: dict[int, JobSlot] | None = None,
    begun: list[float] | None = None,
    *,
    per_step: int = 1,
    count: int = 4,
    now: float = 1e12,
) -> tuple[SeriesPoint, ...]:
    """Return the steps from `_FIRST` on."""
    step_s = per_step * SLOT_S
    return joined(power or {}, jobs or {}, begun or [], first=_FIRST, step_s=step_s, count=count, now=now)


def test_an_empty_board_has_empty_steps() -> None:
    """A value that is not known is None, not 0."""
    for point in points():
        assert (point.charge, point.watts, point.backlog, point.seconds, point.started) == (None, None, None, {}, 0)


def test_slots_of_a_step_are_put_together() -> None:
    """A step has the means of known values, the sums of seconds and jobs, and the largest backlog."""
    power = {
        _FIRST: PowerSlot(charge=Mean(100.0, 2), seconds={"normal": 900.0}),
        _FIRST + SLOT_S: PowerSlot(charge=Mean(30.0, 1), seconds={"low": 300.0, "odd": 600.0}),
    }
    jobs = {_FIRST: JobSlot(1, 1, 0, 0, 3, 7), _FIRST + SLOT_S: JobSlot(2, 0, 1, 1, 2, 4)}
    first, *_ = points(power, jobs, per_step=12)
    assert (first.charge, first.seconds) == (40.0, {"normal": 900.0, "low": 300.0})
    assert (first.started, first.succeeded, first.failed, first.cancelled, first.backlog) == (3, 1, 1, 1, 7)


def test_the_backlog_holds_until_something_happens() -> None:
    """It also holds from before the first step, and while the board was off. Steps in the future have none."""
    jobs = {_FIRST - 5 * SLOT_S: JobSlot(backlog=4, most=9), _FIRST + SLOT_S: JobSlot(backlog=1, most=6)}
    assert [point.backlog for point in points(jobs=jobs, now=_FIRST + 2.5 * SLOT_S)] == [4, 6, 1, None]


def test_the_backlog_of_now_is_known_without_a_record() -> None:
    """After a reboot, before the first record, the step of the present time has the present backlog."""
    made = joined({}, {}, [], first=_FIRST, step_s=SLOT_S, count=3, now=_FIRST + 1.5 * SLOT_S, open_now=7)
    assert [point.backlog for point in made] == [None, 7, None]


def test_jobs_that_run_now_have_started() -> None:
    """They count in the step in which they started. A job that started before the first step is not counted."""
    assert [point.started for point in points(begun=[_FIRST + 1.0, _FIRST - 1.0])] == [1, 0, 0, 0]


def test_a_step_is_not_longer_than_it_is() -> None:
    """If the clock went back, a slot has too many seconds. They are scaled down to the length of the step."""
    power = {_FIRST: PowerSlot(seconds={"normal": 1800.0, "low": 900.0})}
    assert points(power)[0].seconds == {"normal": 600.0, "low": 300.0}


_SLOTS = st.dictionaries(
    st.integers(0, 47).map(lambda number: _FIRST + number * SLOT_S),
    st.builds(JobSlot, *[st.integers(0, 100)] * 4, st.integers(-1, 50), st.integers(-1, 50)),
)


@given(_SLOTS)
def test_no_job_is_lost_or_counted_twice(jobs: dict[int, JobSlot]) -> None:
    """For any length of step, the sums over the steps are equal to the sums over the slots."""
    for per_step, count in ((1, 48), (12, 4)):
        made = points(jobs=jobs, per_step=per_step, count=count)
        for name in ("started", "succeeded", "failed", "cancelled"):
            assert sum(getattr(each, name) for each in made) == sum(getattr(slot, name) for slot in jobs.values())
