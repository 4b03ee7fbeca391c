"""Tests of the roster: which processes of a scaled entry should run, and which do not count as capacity for jobs."""

from __future__ import annotations

from edge.config.workers import WorkerEntry
from edge.model import WorkerState, WorkerStatus
from edge.power.workers.roster import Roster

EXTRA = WorkerEntry("extra", max=4)


def lives(name: str, state: WorkerState = WorkerState.IDLE, *, pid: int = 1) -> dict[str, WorkerStatus]:
    return {name: WorkerStatus(name, pid, "boot", state)}


def test_names_are_counted_from_1() -> None:
    roster = Roster(EXTRA, {})
    roster.resize(2, {}, 0.0)
    assert roster.names == ("extra-1", "extra-2")


def test_an_idle_worker_retires_before_a_busy_one() -> None:
    """An idle worker frees its memory at once; a busy one only when its job has ended."""
    found = lives("extra-1") | lives("extra-2", WorkerState.RUNNING) | lives("extra-3", WorkerState.HELD)
    roster = Roster(EXTRA, found)
    roster.resize(2, found, 0.0)
    assert roster.names == ("extra-2", "extra-3")


def test_a_worker_that_never_started_retires_first() -> None:
    found = lives("extra-1")
    roster = Roster(EXTRA, found)
    roster.resize(2, found, 0.0)
    roster.resize(1, found, 0.0)
    assert roster.names == ("extra-1",)


def test_a_retiring_worker_that_still_lives_is_wanted_again_first() -> None:
    """It needs no start, unlike a new one."""
    found = lives("extra-1", WorkerState.RUNNING) | lives("extra-2", WorkerState.RUNNING)
    roster = Roster(EXTRA, found)
    roster.resize(1, found, 0.0)
    assert roster.names == ("extra-1",)
    roster.resize(2, found, 1.0)
    assert set(roster.names) == {"extra-1", "extra-2"}


def test_a_new_governor_goes_on_with_those_that_live() -> None:
    assert Roster(EXTRA, lives("extra-3") | lives("other-1") | lives("extra")).names == ("extra-3",)


def test_the_start_of_a_missing_worker_is_requested_and_again_later() -> None:
    roster = Roster(EXTRA, {})
    roster.resize(1, {}, 0.0)
    roster.see({}, 0.0)
    assert list(roster.to_start({}, 0.0)) == ["extra-1"]
    assert list(roster.to_start({}, 29.0)) == []
    assert list(roster.to_start({}, 30.0)) == ["extra-1"]
    assert list(roster.to_start(lives("extra-1"), 60.0)) == []


def test_a_worker_that_crashes_in_a_loop_does_not_count_as_capacity_until_it_has_run_for_a_while() -> None:
    """Each status shows a new pid, although no worker was asked to end. So the worker crashes and is restarted."""
    roster = Roster(EXTRA, lives("extra-1"))
    for number, now_s in enumerate((0.0, 5.0, 10.0, 15.0)):
        assert roster.failing(now_s) == ()
        roster.see(lives("extra-1", pid=number + 1), now_s)
    assert roster.failing(15.0) == ("extra-1",)
    roster.see(lives("extra-1", pid=4), 320.0)
    assert roster.failing(320.0) == ()


def test_a_worker_that_does_not_start_does_not_count_as_capacity_and_is_seldom_requested() -> None:
    roster = Roster(EXTRA, {})
    roster.resize(1, {}, 0.0)
    roster.see({}, 0.0)
    assert list(roster.to_start({}, 0.0)) == ["extra-1"]
    roster.see({}, 120.0)
    assert roster.failing(120.0) == ("extra-1",)
    assert list(roster.to_start({}, 120.0)) == []
    assert list(roster.to_start({}, 300.0)) == ["extra-1"]
