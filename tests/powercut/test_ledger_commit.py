"""A durable commit of the ledger survives a cut at each of its writes and flushes, on a real file system."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest

from edge.core.errors import StorageError
from edge.ledger.rows import NewJob
from edge.ledger.writer import LedgerWriter
from edge.model import Power
from tests.powercut.disk import Event
from tests.powercut.volume import Volume

COMMITS = 2


def new(number: int) -> NewJob:
    return NewJob(f"job-{number}", "solve", [number, "x" * 3000], {}, Power.NORMAL, 0, None, "me", b"")


def commit(ledger: LedgerWriter, number: int, done: list[int]) -> None:
    """Commit a job durably, as the gateway does when it accepts one; `done` lists the jobs that count as accepted."""
    with ledger.transaction(durable=True):
        ledger.add(new(number), now=0.0)
    done.append(number)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("event", ["write", "flush"])
def test_what_was_committed_is_there_after_a_cut(volume: Volume, tmp_path: Path, event: Event) -> None:
    """For each n until all commits get through, a cut at the n-th write or flush loses no accepted job."""
    ledger = LedgerWriter.open(volume.mount / "ledger.sqlite")
    commit(ledger, 0, [])
    ledger.close()
    volume.sync()
    volume.detach()
    start = tmp_path / "start.img"
    volume.copy_to(start)
    count, cut = 0, True
    while cut:
        count += 1
        volume.copy_from(start)
        volume.attach()
        volume.disk.arm(event, count, seed=count)
        done = [0]
        with suppress(StorageError):
            ledger = LedgerWriter.open(volume.mount / "ledger.sqlite")
            for number in range(1, 1 + COMMITS):
                commit(ledger, number, done)
        cut = volume.disk.traffic().dead
        volume.cut(seed=count)
        with suppress(StorageError):
            ledger.close()
        volume.detach()
        volume.attach()
        after = LedgerWriter.open(volume.mount / "ledger.sqlite")
        assert after.reader.problems() == [], f"{event} {count}"
        assert [after.reader.get(f"job-{number}").id for number in done], f"{event} {count}"
        after.close()
        volume.detach()
    assert count > 2 * COMMITS
