"""The search of the ledger: filters, order, cursors, limits."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.ledger.rows import NewJob
from edge.ledger.search import Search, Wanted
from edge.ledger.writer import LedgerWriter
from edge.model import JobState, Power, Result


def job(number: int, **changes: object) -> NewJob:
    fields: dict[str, object] = {
        "id": f"job-{number:04}",
        "task": "even" if number % 2 == 0 else "odd",
        "args": [f'say "{number}%"'],
        "kwargs": {},
        "power": Power.SURPLUS if number % 3 == 0 else Power.NORMAL,
        "retries": 0,
        "time_limit_s": None,
        "submitter": f"user{number % 5}",
        "fingerprint": b"",
    }
    return NewJob(**{**fields, **changes})  # type: ignore[arg-type]


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[LedgerWriter]:
    """A ledger with a hundred jobs, accepted one second apart. Every tenth has failed."""
    with LedgerWriter.open(tmp_path / "ledger.sqlite") as writer:
        with writer.transaction(durable=False):
            for number in range(100):
                writer.add(job(number), now=1000.0 + number)
            for number in range(0, 100, 10):
                result = Result(f"job-{number:04}", "even", JobState.FAILED, finished_at=2000.0)
                writer.finish(result, size_bytes=10)
        yield writer


def numbers(search: Search, wanted: Wanted, **options: int) -> list[int]:
    found = search.find(wanted, limit=options.pop("limit", 1000), budget_s=60.0, **options)
    return [int(row.id[4:]) for row in found.rows]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (Wanted(), range(100)),
        (Wanted(task="odd"), range(1, 100, 2)),
        (Wanted(submitter="user2"), range(2, 100, 5)),
        (Wanted(submitter=""), []),
        (Wanted(states=(JobState.FAILED,)), range(0, 100, 10)),
        (Wanted(states=(JobState.FAILED,), submitter="user0", task="even"), range(0, 100, 10)),
        (Wanted(states=(JobState.SUCCEEDED,)), []),
        (Wanted(text="JOB-001"), range(10, 20)),
        (Wanted(text='"7%"'), [7]),
        (Wanted(text='"_%"'), []),
        (Wanted(text="say", task="odd", submitter="user1"), range(1, 100, 10)),
        (Wanted(states=(JobState.FAILED,), text="say"), range(0, 100, 10)),
        (Wanted(since=1090.0), range(90, 100)),
        (Wanted(until=1003.0, states=(JobState.FAILED, JobState.ACCEPTED)), range(3)),
        (Wanted(since=1010.0, until=1012.0), [10, 11]),
    ],
)
def test_each_filter_finds_what_fits_newest_first(ledger: LedgerWriter, wanted: Wanted, expected: range) -> None:
    """Each filter finds all matching jobs and no other ones."""
    assert numbers(ledger.reader.search, wanted) == sorted(expected, reverse=True)


@pytest.mark.parametrize(
    "wanted", [Wanted(), Wanted(task="odd"), Wanted(text="say"), Wanted(states=(JobState.ACCEPTED,))]
)
@pytest.mark.parametrize("limit", [1, 7, 50])
def test_pages_are_the_list(ledger: LedgerWriter, wanted: Wanted, limit: int) -> None:
    """In all pages together no job is missing and none comes twice. The last page says that it is the last."""
    search, pages, before = ledger.reader.search, list[int](), None
    while True:
        found = search.find(wanted, before_seq=before, limit=limit, budget_s=60.0)
        assert found.complete
        pages += [int(row.id[4:]) for row in found.rows]
        before = found.before_seq
        if before is None:
            break
    assert pages == numbers(search, wanted)


def test_a_look_that_takes_too_long_says_how_far_it_came(ledger: LedgerWriter) -> None:
    """The next search continues there, and the answer says that it is not complete."""
    with ledger.transaction(durable=False):
        for number in range(100, 9000):
            ledger.add(job(number, submitter="many"), now=2000.0)
    search, found, before, looks = ledger.reader.search, list[str](), None, 0
    while True:
        page = search.find(Wanted(text="job-0007"), before_seq=before, limit=10, budget_s=0.0)
        looks += 1
        found += [row.id for row in page.rows]
        assert page.complete is (page.before_seq is None)
        before = page.before_seq
        if before is None:
            break
    assert found == ["job-0007"]
    assert looks > 1


def test_an_empty_ledger(tmp_path: Path) -> None:
    """The search finds nothing, and returns at once."""
    with LedgerWriter.open(tmp_path / "ledger.sqlite") as writer:
        search = writer.reader.search
        found = search.find(Wanted(text="x"), limit=10, budget_s=1.0)
        assert (found.rows, found.before_seq, found.complete) == ((), None, True)
        assert search.by_kind() == {}
        assert search.latest_of_kinds(each=3, among=100) == {}


def test_counts(ledger: LedgerWriter) -> None:
    """All jobs count by kind. Of the waiting jobs the oldest comes first."""
    search = ledger.reader.search
    assert search.by_kind() == {
        "even": {JobState.ACCEPTED: 40, JobState.FAILED: 10},
        "odd": {JobState.ACCEPTED: 50},
    }
    assert [row.id for row in search.first_waiting(Power.SURPLUS, limit=2)] == ["job-0003", "job-0006"]
