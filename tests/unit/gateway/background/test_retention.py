"""Old results are removed, the oldest first. Open jobs stay, and without a trusted clock no result is too old."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from edge.config import Config, RetentionConfig
from edge.core import clock
from edge.gateway.background.retention import Retention, overdue
from edge.ledger.reader import LedgerReader
from edge.ledger.rows import NewJob
from edge.ledger.totals import Totals
from edge.ledger.writer import LedgerWriter
from edge.model import JobState, Power, Result
from edge.results.orders import Order, Orders

DAY = 86_400.0
KEEP = RetentionConfig(keep_days=30, keep_bytes=1 << 20)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[LedgerWriter]:
    """Yield a ledger with ten jobs: the first is open, and of the others one ended each day, with 100 kB each."""
    ledger = LedgerWriter.open(tmp_path / "l")
    with ledger.transaction(durable=False):
        for day in range(10):
            job_id = f"job-{day}"
            ledger.add(NewJob(job_id, "t", [], {}, Power.NORMAL, 0, None, "me", b""), now=0.0)
            if day:
                result = Result(id=job_id, task="t", state=JobState.SUCCEEDED, finished_at=day * DAY)
                ledger.finish(result, size_bytes=100_000)
    yield ledger
    ledger.close()


def going(ledger: LedgerWriter, config: RetentionConfig, now: float | None, finished_bytes: int = 0) -> list[str]:
    size = finished_bytes or ledger.connection.totals.finished_bytes
    return [job.id for job in overdue(ledger.reader, config, finished_bytes=size, now=now)]


def test_nothing_goes_while_all_is_young_and_small(ledger: LedgerWriter) -> None:
    """Below both limits no job is removed."""
    assert going(ledger, KEEP, 10 * DAY) == []


def test_what_is_older_than_keep_days_goes(ledger: LedgerWriter) -> None:
    """Exactly the jobs above the age limit are removed, but never an open job."""
    assert going(ledger, KEEP, 33.5 * DAY) == ["job-1", "job-2", "job-3"]


def test_without_a_trusted_clock_age_decides_nothing(ledger: LedgerWriter) -> None:
    """A board that does not know the date removes nothing for its age."""
    assert going(ledger, KEEP, None) == []


def test_a_clock_in_the_past_removes_nothing(ledger: LedgerWriter) -> None:
    """A clock that shows 1970 is before the end of each job, so nothing is too old."""
    assert going(ledger, KEEP, 0.0) == []


def test_beyond_keep_bytes_the_oldest_go_until_it_fits(ledger: LedgerWriter) -> None:
    """The oldest jobs are removed until the rest fits, with or without a trusted clock."""
    small = RetentionConfig(keep_days=30, keep_bytes=1 << 20)
    assert going(ledger, small, None, finished_bytes=(1 << 20) + 150_000) == ["job-1", "job-2"]


def test_what_is_already_asked_to_go_is_not_asked_again(ledger: LedgerWriter) -> None:
    """A job whose removal was ordered is not ordered again."""
    with ledger.transaction(durable=False):
        ledger.ask_remove(["job-1"])
    assert going(ledger, KEEP, 33.5 * DAY) == ["job-2", "job-3"]


def test_a_result_without_a_date_is_not_old(ledger: LedgerWriter) -> None:
    """A result without an end time is never too old."""
    with ledger.transaction(durable=False):
        ledger.finish(Result(id="job-0", task="t", state=JobState.SUCCEEDED), size_bytes=1)
    assert not ledger.reader.get("job-0").finished_at
    assert "job-0" not in [job.id for job in overdue(ledger.reader, KEEP, finished_bytes=0, now=39.5 * DAY)]
    assert going(ledger, KEEP, 20 * DAY) == []


class _Outbox:
    """Takes the place of the outbox: runs all work on the ledger at once, in the thread of the test."""

    def __init__(self, ledger: LedgerWriter) -> None:
        self.ledger = ledger

    @property
    def totals(self) -> Totals:
        return self.ledger.connection.totals

    async def look(self, work: Callable[[LedgerReader], Any]) -> Any:
        return work(self.ledger.reader)

    async def write(self, work: Callable[[LedgerWriter], Any]) -> Any:
        with self.ledger.transaction(durable=False):
            return work(self.ledger)


def test_a_removal_is_noted_before_it_is_asked_for(
    ledger: LedgerWriter, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ledger notes a removal before it is ordered: orders are in memory, and after a cut the note repeats them."""
    asked: list[tuple[str, bool]] = []

    def place(_self: Orders, order: Order, job_id: str) -> None:
        assert order is Order.DELETE
        asked.append((job_id, ledger.reader.get(job_id).remove))

    monkeypatch.setattr(Orders, "place", place)
    monkeypatch.setattr(clock, "vouched_now", lambda: None)
    small = msgspec.structs.replace(config, retention=RetentionConfig(keep_bytes=1 << 20))
    with ledger.transaction(durable=False):
        ledger.add(NewJob("large", "t", [], {}, Power.NORMAL, 0, None, "me", b""), now=0.0)
        large = Result(id="large", task="t", state=JobState.SUCCEEDED, finished_at=99 * DAY)
        ledger.finish(large, size_bytes=1 << 20)
    retention = Retention(small, cast("Any", _Outbox(ledger)))
    assert asyncio.run(retention._let_go()) == 9
    assert asked == [(f"job-{number}", True) for number in range(1, 10)]
