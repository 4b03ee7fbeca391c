"""Old results go, oldest first; open jobs and a board without a clock lose nothing."""

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
    """Ten jobs, one finished a day, of 100 kB each; the first is still open."""
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
    """Below both limits nothing is touched."""
    assert going(ledger, KEEP, 10 * DAY) == []


def test_what_is_older_than_keep_days_goes(ledger: LedgerWriter) -> None:
    """Exactly those past the age, never the open one."""
    assert going(ledger, KEEP, 33.5 * DAY) == ["job-1", "job-2", "job-3"]


def test_without_a_trusted_clock_age_decides_nothing(ledger: LedgerWriter) -> None:
    """A board that cannot know the date throws nothing away for its age."""
    assert going(ledger, KEEP, None) == []


def test_a_clock_in_the_past_removes_nothing(ledger: LedgerWriter) -> None:
    """1970 is before every result."""
    assert going(ledger, KEEP, 0.0) == []


def test_beyond_keep_bytes_the_oldest_go_until_it_fits(ledger: LedgerWriter) -> None:
    """As many as needed, oldest first, clock or no clock."""
    small = RetentionConfig(keep_days=30, keep_bytes=1 << 20)
    assert going(ledger, small, None, finished_bytes=(1 << 20) + 150_000) == ["job-1", "job-2"]


def test_what_is_already_asked_to_go_is_not_asked_again(ledger: LedgerWriter) -> None:
    """Jobs under removal count no longer."""
    with ledger.transaction(durable=False):
        ledger.ask_remove(["job-1"])
    assert going(ledger, KEEP, 33.5 * DAY) == ["job-2", "job-3"]


def test_a_result_without_a_date_is_not_old(ledger: LedgerWriter) -> None:
    """Nobody knows when it ended."""
    with ledger.transaction(durable=False):
        ledger.finish(Result(id="job-0", task="t", state=JobState.SUCCEEDED), size_bytes=1)
    assert not ledger.reader.get("job-0").finished_at
    assert "job-0" not in [job.id for job in overdue(ledger.reader, KEEP, finished_bytes=0, now=39.5 * DAY)]
    assert going(ledger, KEEP, 20 * DAY) == []


class _Outbox:
    """The ledger, at once and in the test's own thread."""

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
    """Orders lie in memory: after a power cut the note in the ledger is what asks again."""
    asked: list[tuple[str, bool]] = []

    def give(_self: Orders, order: Order, job_id: str) -> None:
        assert order is Order.DELETE
        asked.append((job_id, ledger.reader.get(job_id).remove))

    monkeypatch.setattr(Orders, "give", give)
    monkeypatch.setattr(clock, "vouched_now", lambda: None)
    small = msgspec.structs.replace(config, retention=RetentionConfig(keep_bytes=1 << 20))
    with ledger.transaction(durable=False):
        ledger.add(NewJob("large", "t", [], {}, Power.NORMAL, 0, None, "me", b""), now=0.0)
        large = Result(id="large", task="t", state=JobState.SUCCEEDED, finished_at=99 * DAY)
        ledger.finish(large, size_bytes=1 << 20)
    retention = Retention(small, cast("Any", _Outbox(ledger)))
    assert asyncio.run(retention._let_go()) == 9
    assert asked == [(f"job-{number}", True) for number in range(1, 10)]
