"""The gateway reports the open jobs to the governor at each change, but at most once a second."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

import msgspec
import pytest

from edge.broker.routes import Routes
from edge.config import Config
from edge.gateway.background import backlog as module
from edge.gateway.background.backlog import KindBacklog
from edge.ledger.open_kinds import OpenKind
from edge.model import Backlog, Energy, JobState, OpenJobs, Pool, Power, Result

ROUTES = Routes(io=frozenset({"fetch"}), owners={"own": "reports"})


class Played:
    """The file of open jobs, with counts that a test sets in place of a ledger."""

    def __init__(self, config: Config) -> None:
        self.layout = config.layout
        self.counts = tuple[OpenKind, ...]()
        self.file = KindBacklog(self.layout, counts=lambda: self.counts, routes=lambda: ROUTES, enabled=True)

    def commit(self, *counts: OpenKind) -> None:
        self.counts = counts
        self.file.committed()

    def report(self) -> Backlog:
        return msgspec.json.decode(self.layout.backlog.read_bytes(), type=Backlog)

    async def wait_until_reported(self, *kinds: tuple[str, int]) -> None:
        """Return once the file has these counts. Raises TimeoutError."""
        async with asyncio.timeout(10):
            while [(row.kind, row.jobs) for row in self.report().rows] != list(kinds):
                await asyncio.sleep(0.005)


def played(config: Config, test: Callable[[Played], object]) -> None:
    """Run `test` on an event loop with a file of open jobs that was started."""

    async def run() -> None:
        board = Played(config)
        board.file.start()
        await test(board)  # type: ignore[misc]
        board.file.stop()

    asyncio.run(run())


def test_a_row_says_who_takes_the_jobs_and_what_they_cost(config: Config) -> None:
    """A row has the pool or the owner of a kind, and the learned costs of its jobs."""

    async def test(board: Played) -> None:
        board.file.learn([Result("1", "nap", JobState.SUCCEEDED, energy=Energy(2.0, 1.0, peak_bytes=7))])
        board.commit(OpenKind("nap", "normal", 3), OpenKind("fetch", "always", 2), OpenKind("own", "surplus", 1))
        await board.wait_until_reported(("nap", 3), ("fetch", 2), ("own", 1))
        assert board.report().pid == os.getpid()
        assert board.report().rows == (
            OpenJobs("nap", Power.NORMAL, 3, seconds=2.0, peak_bytes=7, busy=0.5),
            OpenJobs("fetch", Power.ALWAYS, 2, pool=Pool.IO),
            OpenJobs("own", Power.SURPLUS, 1, owner="reports"),
        )

    played(config, test)


def test_changes_that_follow_one_another_share_a_file(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """Changes within a short time are written together, and the last one is always written."""
    monkeypatch.setattr(module, "EVERY_S", 0.05)

    async def test(board: Played) -> None:
        written = 0
        before = board.layout.backlog.stat().st_ino
        for number in range(1, 101):
            board.commit(OpenKind("nap", "normal", number))
            await asyncio.sleep(0.002)
            now = board.layout.backlog.stat().st_ino
            written += now != before
            before = now
        await board.wait_until_reported(("nap", 100))
        assert written < 50

    played(config, test)


def test_a_commit_that_changes_no_count_wakes_nobody(config: Config) -> None:
    """A commit without a change of the counts writes no file, which would wake the governor."""

    async def test(board: Played) -> None:
        before = board.layout.backlog.stat().st_mtime_ns
        for _ in range(3):
            board.commit()
        await asyncio.sleep(0)
        assert board.layout.backlog.stat().st_mtime_ns == before

    played(config, test)


def test_a_damaged_power_class_is_left_out(config: Config) -> None:
    """Rows with an unknown power class, which a damaged ledger may hold, are not reported."""

    async def test(board: Played) -> None:
        board.commit(OpenKind("nap", "n\ufffdrmal", 3), OpenKind("nap", "normal", 1))
        await board.wait_until_reported(("nap", 1))

    played(config, test)
