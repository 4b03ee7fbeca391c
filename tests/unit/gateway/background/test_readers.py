"""Readers: filters, resuming, the slow one, and no watch without any."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.gateway.background.journal import Journal, Noted
from edge.gateway.background.readers import FellBehind, Readers, TooManyReaders, View
from edge.model import JobState
from edge.wire import About
from tests.unit.gateway.background.test_journal import row


class Watched:
    """Stands for the watch of the status files."""

    def __init__(self) -> None:
        self._running = False

    def runs(self) -> bool:
        """True between `start` and `stop`."""
        return self._running

    def start(self) -> None:
        """Watch."""
        self._running = True

    def stop(self) -> None:
        """Watch no more."""
        self._running = False

    def look(self) -> None:
        """Nothing to see."""


def made(size: int = 100, most: int = 10) -> tuple[Journal, Readers, Watched]:
    """A journal with its readers."""
    journal, watch = Journal(size=size), Watched()
    return journal, Readers(journal, cast("Any", watch), most=most), watch


def on_loop(work: Callable[[], Awaitable[None]]) -> None:
    """Run `work` on a loop."""

    async def main() -> None:
        await asyncio.wait_for(work(), 20)

    asyncio.run(main())


def ids(content: bytes) -> list[int]:
    """The numbers of the events in a chunk."""
    return [
        int(block.partition(b"id: ")[2].partition(b"\n")[0].rpartition(b"-")[2])
        for block in content.split(b"\n\n")
        if b"data: " in block
    ]


def test_the_watch_runs_while_somebody_reads() -> None:
    """The first one starts it, the last one stops it."""

    async def work() -> None:
        journal, readers, watch = made()
        with readers.reading(View(), None):
            with readers.reading(View(), None):
                assert watch.runs()
            assert watch.runs()
        assert not watch.runs()
        assert journal.on

    on_loop(work)


def test_a_follower_is_told_of_everything_and_nothing_is_kept() -> None:
    """The watch runs for it as for a reader; with a reader beside it, events are kept as ever."""

    async def work() -> None:
        journal, readers, watch = made()
        seen: list[str] = []
        with readers.following(lambda event: seen.append(event.about if event else "looked")):
            assert watch.runs()
            assert journal.on
            journal.accepted([row("a")])
            journal.confirmed([row("a")])
            journal.looked()
            assert seen == ["job", "looked"]
            assert journal.last == 0
            with readers.reading(View(), None) as (reader, _):
                journal.accepted([row("b")])
                assert ids(reader.take()) == [1]
            assert watch.runs()
        assert seen == ["job", "looked", "job"]
        assert not watch.runs()
        assert journal.on  # a reader was here: it may come back

    on_loop(work)


def test_a_follower_alone_leaves_nothing_behind() -> None:
    """Once it goes, changes cost nothing again."""

    async def work() -> None:
        journal, readers, watch = made()
        with readers.following(lambda _: None), readers.following(lambda _: None):
            assert watch.runs()
        assert not watch.runs()
        assert not journal.on

    on_loop(work)


@settings(deadline=None)
@given(taken=st.integers(0, 30), more=st.integers(0, 60))
def test_a_reader_goes_on_where_it_was(taken: int, more: int) -> None:
    """Every event once and in order, or the word that some are missing when they are."""

    async def work() -> None:
        journal, readers, _ = made(size=40)
        with readers.reading(View(), None) as (reader, _):
            for number in range(taken):
                journal.accepted([row(f"j{number}")])
            assert ids(reader.take()) == list(range(1, taken + 1))
        for number in range(more):
            journal.accepted([row(f"k{number}")])
        with readers.reading(View(), (journal.boot, taken)) as (reader, missing):
            assert missing == (more > 40)
            assert ids(reader.take()) == ([] if missing else list(range(taken + 1, taken + more + 1)))

    on_loop(work)


@pytest.mark.parametrize(("boot", "number"), [("other", 0), ("", 1), (None, 5)])
def test_what_is_not_known_is_missing(boot: str | None, number: int) -> None:
    """Another life of the gateway, or a number that is still to come."""

    async def work() -> None:
        journal, readers, _ = made()
        journal.accepted([row("j")])
        with readers.reading(View(), (journal.boot if boot is None else boot, number)) as (reader, missing):
            assert missing
            assert reader.take() == b""

    on_loop(work)


def test_a_reader_that_takes_nothing_falls_behind() -> None:
    """Nothing waits for it; the others get everything."""

    async def work() -> None:
        journal, readers, _ = made(size=5)
        with readers.reading(View(), None) as (slow, _), readers.reading(View(), None) as (fast, _):
            for number in range(20):
                journal.accepted([row(f"j{number}")])
                assert ids(fast.take()) == [number + 1]
            with pytest.raises(FellBehind, match="more than 5 events behind"):
                slow.take()

    on_loop(work)


def test_a_reader_is_woken_once_for_what_comes_together() -> None:
    """And at once after a rest."""

    async def work() -> None:
        journal, readers, _ = made()
        with readers.reading(View(), None) as (reader, _):
            chunks = list[list[int]]()
            while sum(map(len, chunks)) < 6:
                for _ in range(3):
                    journal.accepted([row("j")])
                await reader.more()
                chunks.append(ids(reader.take()))
            assert chunks == [[1, 2, 3], [4, 5, 6]]

    on_loop(work)


def test_who_is_shown_nothing_still_learns_how_far_it_is() -> None:
    """A filter that lets nothing through must not make a resume impossible."""

    async def work() -> None:
        journal, readers, _ = made(size=3000)
        with readers.reading(View(jobs=frozenset({"none"})), None) as (reader, _):
            journal.accepted([row(f"j{number}") for number in range(2500)])
            content = reader.take()
            assert content.startswith(b"id: ")
            assert b"data" not in content

    on_loop(work)


def test_a_chunk_has_a_bound() -> None:
    """What a reader comes back for is written in pieces."""

    async def work() -> None:
        journal, readers, _ = made(size=1000)
        with readers.reading(View(), None) as (reader, _):
            journal.accepted([row(f"j{number}") for number in range(1000)])
            chunks = []
            while chunk := reader.take():
                chunks.append(chunk)
            assert max(map(len, chunks)) < 40_000
            assert [number for chunk in chunks for number in ids(chunk)] == list(range(1, 1001))

    on_loop(work)


def test_one_too_many_is_refused() -> None:
    """With the number."""

    async def work() -> None:
        _, readers, _ = made(most=1)
        with (
            readers.reading(View(), None),
            pytest.raises(TooManyReaders, match="1 readers"),
            readers.reading(View(), None),
        ):
            pass

    on_loop(work)


def test_a_closed_reader_ends() -> None:
    """Those that read, and those that come while the gateway stops."""

    async def work() -> None:
        _, readers, _ = made()
        with readers.reading(View(), None) as (reader, _):
            readers.close()
            await reader.more()
            assert reader.closed
        with readers.reading(View(), None) as (late, _):
            assert late.closed

    on_loop(work)


@pytest.mark.parametrize(
    ("view", "shown"),
    [
        (View(), True),
        (View(about=frozenset({About.POWER})), False),
        (View(jobs=frozenset({"j", "k"})), True),
        (View(jobs=frozenset({"k"})), False),
        (View(kinds=frozenset({"echo"}), states=frozenset({JobState.QUEUED})), True),
        (View(kinds=frozenset({"echo"}), states=frozenset({JobState.FAILED})), False),
        (View(submitter="me"), True),
        (View(submitter="you"), False),
    ],
)
def test_a_view_shows_what_passes_all_of_its_filters(view: View, shown: bool) -> None:
    """Each that is given."""
    assert view.shows(Noted(About.JOB, "j", "echo", JobState.QUEUED, "me", b"")) is shown


def test_filters_of_jobs_leave_other_events_alone() -> None:
    """They are left out by `about`."""
    assert View(jobs=frozenset({"j"}), submitter="me").shows(Noted(About.POWER, "", "", None, "", b""))
