"""The ledger stores once which job spawned which, also through removals and rebuilds."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from edge.config import Config
from edge.ledger.recovery import rebuild
from edge.ledger.rows import NewJob
from edge.ledger.writer import LedgerWriter
from edge.model import JobState, Power, Result, spawned_job_id
from edge.schedule.later import Later

PARENT = "3f-parent"


def child(call: int, *, fingerprint: bytes = b"f") -> NewJob:
    return NewJob(
        id=spawned_job_id(PARENT, call=call),
        task="echo",
        args=[call],
        kwargs={},
        power=Power.NORMAL,
        retries=0,
        time_limit_s=None,
        submitter="me",
        fingerprint=fingerprint,
    )


def never(_job_id: str) -> bool:
    return False


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[LedgerWriter]:
    with LedgerWriter.open(tmp_path / "ledger.sqlite") as opened:
        yield opened


def test_an_open_job_with_the_unique_key_is_not_new(ledger: LedgerWriter) -> None:
    """The open job was released before, and must not be released a second time."""
    keyed = [msgspec.structs.replace(child(call), later=Later(unique_key="one")) for call in (1, 2)]
    with ledger.transaction(durable=True):
        rows, others = ledger.spawn(PARENT, keyed, removed=never, now=1.0)
    assert ([row.id for row in rows], others) == ([keyed[0].id], [])


def spawn(
    ledger: LedgerWriter, *calls: int, fingerprint: bytes = b"f", removed: Callable[[str], bool] = never
) -> tuple[int, int]:
    """Spawn jobs, and return the numbers of new jobs and of jobs whose place is taken by another one."""
    with ledger.transaction(durable=True):
        rows, others = ledger.spawn(
            PARENT, [child(call, fingerprint=fingerprint) for call in calls], removed=removed, now=1.0
        )
    return len(rows), len(others)


def finish(ledger: LedgerWriter, job_id: str, **fields: tuple[str, ...]) -> None:
    result = Result(job_id, "echo", JobState.SUCCEEDED, finished_at=2.0, **fields)  # type: ignore[arg-type]
    with ledger.transaction(durable=True):
        ledger.finish_all([(result, 1)], now=2.0)


def test_a_job_is_put_in_once(ledger: LedgerWriter) -> None:
    """The same job again changes nothing, and further jobs are added behind the known ones."""
    assert spawn(ledger, 2, 1) == (2, 0)
    assert spawn(ledger, 1, 2, 3) == (1, 0)
    ids = [spawned_job_id(PARENT, call=call) for call in (2, 1, 3)]
    assert [found.id for found in ledger.reader.children(PARENT)] == ids
    assert [found.id for found in ledger.reader.children(PARENT, after=0, limit=1)] == [ids[1]]
    assert ledger.reader.parent_of(ids[0]) == PARENT
    assert (ledger.open_jobs, ledger.reader.has_children(PARENT), ledger.reader.has_children(ids[0])) == (
        3,
        True,
        False,
    )
    row = ledger.reader.children(PARENT)[0].job
    assert row is not None
    assert (row.id, row.task, row.submitter, row.state, row.arguments) == (ids[0], "echo", "me", "accepted", b"")


def test_another_job_in_the_same_place_is_told(ledger: LedgerWriter) -> None:
    """The first job stands. A row that was made from a result alone cannot be compared."""
    spawn(ledger, 1)
    assert spawn(ledger, 1, 2, fingerprint=b"other") == (1, 1)
    adopted = spawned_job_id(PARENT, call=3)
    finish(ledger, adopted)
    assert spawn(ledger, 3) == (0, 0)


def test_what_is_over_is_not_made_again(ledger: LedgerWriter) -> None:
    """Neither an ended job nor a removed one is inserted. A removed one still counts as a child."""
    spawn(ledger, 1, 2)
    ended, gone = (spawned_job_id(PARENT, call=call) for call in (1, 2))
    for job_id in (ended, gone):
        finish(ledger, job_id)
    with ledger.transaction(durable=True):
        ledger.drop(gone)
    assert spawn(ledger, 1, 2, removed={gone}.__contains__) == (0, 0)
    assert [found.job is None for found in ledger.reader.children(PARENT)] == [False, True]
    assert ledger.reader.child_counts(PARENT) == {"succeeded": 1, "removed": 1}


def test_children_are_counted_by_state(ledger: LedgerWriter) -> None:
    """A child that a worker runs now counts as `running`, unless it has ended."""
    spawn(ledger, 1, 2, 3)
    one, two = (spawned_job_id(PARENT, call=call) for call in (1, 2))
    finish(ledger, two)
    counts = ledger.reader.child_counts(PARENT, running=[one, two, "other"])
    assert counts == {"running": 1, "succeeded": 1, "accepted": 1}
    assert ledger.reader.child_counts("nobody") == {}


def test_a_removed_parent_leaves_its_children(ledger: LedgerWriter) -> None:
    """The children stay, without the id of the parent."""
    finish(ledger, PARENT)
    spawn(ledger, 1)
    with ledger.transaction(durable=True):
        ledger.drop(PARENT)
    (left,) = ledger.reader.page()
    assert (left.id, ledger.reader.parent_of(left.id)) == (spawned_job_id(PARENT, call=1), "")


def test_a_result_brings_back_who_spawned_whom(ledger: LedgerWriter) -> None:
    """The row of its parent was lost with a ledger."""
    ids = tuple(spawned_job_id(PARENT, call=call) for call in (1, 2))
    finish(ledger, PARENT, children=ids)
    assert [(found.id, found.job) for found in ledger.reader.children(PARENT)] == [(each, None) for each in ids]
    assert spawn(ledger, 1, 2) == (2, 0)


def test_a_rebuilt_ledger_knows_them(tmp_path: Path) -> None:
    """The links come from the copy if the broken file does not have them."""
    layout = Config(root=tmp_path).layout
    with LedgerWriter.open(layout.ledger) as ledger:
        spawn(ledger, 1, 2)
    shutil.copy(layout.ledger, layout.ledger_copy)
    layout.ledger.write_bytes(b"no database any more" * 100)
    rebuild.rebuild(layout)
    with LedgerWriter.open(layout.ledger) as ledger:
        assert [found.job is not None for found in ledger.reader.children(PARENT)] == [True, True]
