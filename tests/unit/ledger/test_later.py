"""Jobs for later wait in the ledger, with any step of the wall clock."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.core.clock import EARLIEST, SteadyClock
from edge.core.errors import UsageError
from edge.ledger.connection import Connection
from edge.ledger.rows import NewJob
from edge.ledger.writer import LedgerWriter
from edge.model import JobState
from edge.schedule.later import Later
from tests.unit.ledger.test_ledger import done, new

T0 = EARLIEST + 1e7


class Clock:
    """A wall clock that can be set, and a monotonic clock."""

    def __init__(self, wall: float = T0) -> None:
        self.wall, self.monotonic = wall, 50.0

    def passes(self, seconds: float) -> None:
        self.wall += seconds
        self.monotonic += seconds

    def steady(self) -> SteadyClock:
        return SteadyClock(wall=lambda: self.wall, monotonic=lambda: self.monotonic)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(tmp_path: Path, clock: Clock) -> Iterator[LedgerWriter]:
    with opened(tmp_path / "l", clock) as ledger:
        yield ledger


def opened(path: Path, clock: Clock) -> LedgerWriter:
    ledger = LedgerWriter(Connection(path, writable=True), steady=clock.steady())
    with ledger.transaction(durable=True):
        ledger.start_clock()
    return ledger


def put(ledger: LedgerWriter, later: Later, job: NewJob | None = None) -> str:
    with ledger.transaction(durable=True):
        return ledger.add(msgspec.structs.replace(job or new(), later=later), now=T0).job.id


def due(ledger: LedgerWriter) -> tuple[list[str], float | None]:
    with ledger.transaction(durable=False):
        free, left_s = ledger.what_is_due(limit=100)
    return [job.id for job in free], left_s


def published(ledger: LedgerWriter) -> list[str]:
    return [job.id for job in ledger.reader.unpublished(after_seq=0, limit=99)]


def test_a_job_for_later_is_accepted_and_not_published(ledger: LedgerWriter) -> None:
    """It counts as open, is listed as accepted, and the publisher does not see it."""
    job_id = put(ledger, Later(delay_s=10.0))
    job = ledger.reader.get(job_id)
    assert (job.state, job.waits, job.due_at) == (JobState.ACCEPTED, True, T0 + 10)
    assert published(ledger) == []
    assert [each.id for each in ledger.reader.page(states=[JobState.ACCEPTED])] == [job_id]
    totals = ledger.connection.totals
    assert (totals.jobs, totals.open_jobs, totals.waiting, ledger.open_jobs) == ({JobState.ACCEPTED: 1}, 1, 1, 1)


def test_it_is_let_go_when_it_is_due(ledger: LedgerWriter, clock: Clock) -> None:
    """The time of the first due job is known, and each job is released once."""
    late, soon = put(ledger, Later(not_before=T0 + 20.0)), put(ledger, Later(delay_s=10.0))
    assert due(ledger) == ([], 10.0)
    clock.passes(10.0)
    assert due(ledger) == ([soon], 10.0)
    assert published(ledger) == [soon]
    clock.passes(10.0)
    assert due(ledger) == ([late], None)
    assert due(ledger) == ([], None)
    assert published(ledger) == [late, soon]


def test_a_cancelled_one_is_never_due(ledger: LedgerWriter, clock: Clock) -> None:
    """Its result closes its row, as for any other job."""
    job_id = put(ledger, Later(delay_s=1.0))
    with ledger.transaction(durable=True):
        assert ledger.finish(done(job_id, JobState.CANCELLED), size_bytes=1)
    clock.passes(2.0)
    assert due(ledger) == ([], None)


@given(step=st.floats(-2e9, 2e9), passed=st.floats(0, 9), delay=st.floats(10, 100))
@settings(max_examples=60, deadline=None)
def test_a_delay_lasts_as_long_however_the_clock_is_set(
    tmp_path_factory: pytest.TempPathFactory, step: float, passed: float, delay: float
) -> None:
    """A step forwards by decades does not release it early, and a step backwards not late."""
    clock = Clock()
    with opened(tmp_path_factory.mktemp("l") / "l", clock) as ledger:
        job_id = put(ledger, Later(delay_s=delay))
        clock.passes(passed)
        clock.wall += step
        free, left_s = due(ledger)
        assert free == []
        assert left_s == pytest.approx(delay - passed, abs=0.1)
        clock.passes(delay - passed - 0.2)
        assert due(ledger)[0] == []
        clock.passes(0.4)
        assert due(ledger)[0] == [job_id]


def test_a_time_waits_for_a_clock_that_can_be_right(ledger: LedgerWriter, clock: Clock) -> None:
    """A board that boots in 1970 does not know the time. The step to the present releases the job."""
    clock.wall = 1000.0
    job_id = put(ledger, Later(not_before=T0 - 5))
    assert due(ledger) == ([], None)
    clock.wall = T0
    assert due(ledger) == ([job_id], None)


@pytest.mark.parametrize(
    ("wall", "left_s"),
    [
        (T0 + 40.0, 60.0),  # the board was off for 40 s
        (T0 + 1e6, 0.0),  # the board was off for longer
        (T0 - 500.0, 100.0),  # its clock went back, so the whole delay starts again
        (1000.0, 100.0),  # its clock was never set, so the whole delay starts again
    ],
)
def test_a_delay_goes_on_after_a_restart(tmp_path: Path, wall: float, left_s: float) -> None:
    """It continues by the wall clock if that is plausible, and never lasts longer than the delay."""
    with opened(tmp_path / "l", Clock()) as ledger:
        put(ledger, Later(delay_s=100.0))
    clock = Clock(wall)
    with opened(tmp_path / "l", clock) as ledger:
        free, left = due(ledger)
        assert (len(free), left) == ((0, left_s) if left_s else (1, None))
        clock.wall = T0 + 1e7  # a time server answers
        assert len(due(ledger)[0]) == (1 if wall == T0 + 40.0 else 0)


def test_of_a_delay_and_a_time_the_later_one_counts(ledger: LedgerWriter, clock: Clock) -> None:
    """While the time is not known they cannot be compared, so the job is refused."""
    far, near = put(ledger, Later(delay_s=5.0, not_before=T0 + 20)), put(ledger, Later(delay_s=5.0, not_before=T0 + 1))
    assert (ledger.reader.get(far).due_at, ledger.reader.get(near).due_at) == (T0 + 20, T0 + 5)
    clock.wall = 1000.0
    with ledger.transaction(durable=False):
        ledger.what_is_due(limit=1)
    with pytest.raises(UsageError, match="does not know the time"):
        put(ledger, Later(delay_s=5.0, not_before=T0 + 1))
