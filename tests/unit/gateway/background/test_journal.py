"""The journal of events: order, numbers, reports that make no event, and no events before somebody reads."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from edge.gateway.background.journal import Journal
from edge.ledger.rows import JobRow
from edge.model import JobState, Power, Result, RunningJob


def row(job_id: str, **changes: Any) -> JobRow:
    """Return a row of the ledger."""
    fields: dict[str, Any] = {
        "seq": 1,
        "id": job_id,
        "task": "echo",
        "arguments": b"",
        "power": Power.NORMAL,
        "retries": 0,
        "time_limit_s": None,
        "submitter": "lan",
        "fingerprint": b"",
        "state": JobState.ACCEPTED,
        "accepted_at": 1.0,
    }
    return JobRow(**(fields | changes))


def nobody(_: str) -> None:
    """Find no row."""


def result(job_id: str) -> Result:
    """Return the result of a job that came through the gateway."""
    return Result(job_id, "echo", JobState.SUCCEEDED, submitter="lan", finished_at=2.0)


def on_loop(work: Callable[[], None]) -> None:
    """Run `work` on an event loop."""

    async def main() -> None:
        work()

    asyncio.run(main())


def states(journal: Journal, after: int = 0) -> list[tuple[str, str]]:
    """Return job and state of each event after the event with this number."""
    return [(noted.job_id, str(noted.state)) for noted in journal.after(after, 10_000)]


def test_it_is_off_until_somebody_reads() -> None:
    """The journal is off until somebody reads. Then it stays on, so that a reader that comes back misses nothing."""
    journal = Journal()
    assert not journal.on

    def work() -> None:
        journal.listen(lambda: None, look=lambda: None)
        journal.unlisten()
        assert journal.on

    on_loop(work)


@settings(deadline=None)
@given(size=st.integers(1, 20), count=st.integers(0, 70))
def test_the_ring_holds_the_last_ones_in_order(size: int, count: int) -> None:
    """The ring holds the latest events in order. The bytes of each contain its number."""
    journal = Journal(size=size)
    for number in range(count):
        journal.accepted([row(f"j{number}")])
    assert journal.last == count
    assert journal.first == max(1, count - size + 1)
    kept = journal.after(journal.first - 1, size + 5)
    assert [noted.job_id for noted in kept] == [f"j{number}" for number in range(max(0, count - size), count)]
    for number, noted in enumerate(kept, journal.first):
        assert f"\nid: {journal.boot}-{number}\n".encode() in noted.block


def test_an_event_is_one_line_of_data() -> None:
    """The data of an event are one line, whatever characters an error text contains."""
    journal = Journal()
    journal.retrying(row("j", state=JobState.RETRYING, message="one\n\ndata: two\r\x00"))
    (noted,) = journal.after(0, 1)
    head, _, data = noted.block.partition(b"data: ")
    assert head == f"event: job\nid: {journal.boot}-1\n".encode()
    assert data.endswith(b"\n\n")
    assert b"\n" not in data[:-2]
    assert b"\r" not in data
    assert json.loads(data)["job"]["error"] == "one\n\ndata: two\r\x00"


def test_a_late_confirm_makes_no_event() -> None:
    """A confirm of a job that runs or has ended makes no event: the worker may be faster than the confirm."""
    journal = Journal()
    journal.accepted([row("a"), row("b"), row("c")])
    journal.running(RunningJob("a", "echo", 1.0), worker="main", submitter="lan")
    journal.ended([result("b")], nobody)
    journal.confirmed([row("a"), row("b"), row("c")])
    assert states(journal, 3) == [("a", "running"), ("b", "succeeded")] + [("c", "queued")] * (journal.last > 5)
    journal.ended([result("a")], nobody)
    assert states(journal, 5) == [("c", "queued"), ("a", "succeeded")]


def test_an_end_is_reported_once() -> None:
    """A second announcement of a result makes no event."""
    journal = Journal()
    journal.ended([result("a")], nobody)
    journal.ended([result("a"), result("b")], nobody)
    assert states(journal) == [("a", "succeeded"), ("b", "succeeded")]


def test_what_comes_before_an_end_is_looked_for_first() -> None:
    """The status files are read before the end of a job is reported, so that its event `running` comes first."""
    journal = Journal()

    def work() -> None:
        body = RunningJob("a", "echo", 1.0)
        journal.listen(lambda: None, look=lambda: journal.running(body, worker="main", submitter="lan"))
        journal.ended([result("a")], nobody)

    on_loop(work)
    assert states(journal) == [("a", "running"), ("a", "succeeded")]


def test_a_job_without_a_submitter_gets_that_of_its_row() -> None:
    """The end of a job without a submitter gets the submitter of its row. Otherwise that submitter would not see it."""
    journal = Journal()
    journal.ended([Result("a", "", JobState.FAILED)], lambda job_id: row(job_id, submitter="me"))
    (noted,) = journal.after(0, 1)
    assert (noted.submitter, noted.task) == ("me", "echo")
