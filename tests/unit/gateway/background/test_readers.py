"""Readers of events: filters, resuming, slow readers, and no watch while there is no reader."""

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
    """Takes the place of the watch of the status files."""

    def __init__(self) -> None:
        self._running = False

    def runs(self) -> bool:
        """Return True between `start` and `stop`."""
        return self._running

    def start(self) -> None:
        """Start watching."""
        self._running = True

    def stop(self) -> None:
        """Stop watching."""
        self._running = False

    def look(self) -> None:
        """Do nothing: there are no status files."""


def made(size: int = 100, most: int = 10) -> tuple[Journal, Readers, Watched]:
    """Return a journal with its readers and their watch."""
    journal, watch = Journal(size=size), Watched()
    return journal, Readers(journal, cast("Any", watch), most=most), watch


def on_loop(work: Callable[[], Awaitable[None]]) -> None:
    """Run `work` on an event loop."""

    async def main() -> None:
        await asyncio.wait_for(work(), 20)

    asyncio.run(main())


def ids(content: bytes) -> list[int]:
    """Return the numbers of the events in a chunk of the stream."""
    return [
        int(block.partition(b"id: ")[2].partition(b"\n")[0].rpartition(b"-")[2])
        for block in content.split(b"\n\n")
        if b"data: " in block
    ]


def test_the_watch_runs_while_somebody_reads() -> None:
    """The first reader starts the watch, and the end of the last reader stops it."""

    async def work() -> None:
        journal, readers, watch = made()
        with readers.reading(View(), None):
            with readers.reading(View(), None):
                assert watch.runs()
            assert watch.runs()
        assert not watch.runs()
        assert journal.on

    on_loop(work)


def test_a_follower_gets_every_event_and_nothing_is_kept() -> None:
    """A follower starts the watch and gets each event, but events are kept only if there is a reader, too."""

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
        assert journal.on  # the reader may come back

    on_loop(work)


def test_a_follower_alone_leaves_nothing_behind() -> None:
    """After the end of the last follower the journal is off again, if there was no reader."""

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
    """A reader that resumes gets each event once and in order, or learns that some are missing."""

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
def test_an_unknown_position_means_missing_events(boot: str | None, number: int) -> None:
    """A position from an earlier run of the gateway, or with a number in the future, means that events are missing."""

    async def work() -> None:
        journal, readers, _ = made()
        journal.accepted([row("j")])
        with readers.reading(View(), (journal.boot if boot is None else boot, number)) as (reader, missing):
            assert missing
            assert reader.take() == b""

    on_loop(work)


def test_a_reader_that_takes_nothing_falls_behind() -> None:
    """A reader that takes nothing gets an error, and the other readers still get every event."""

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
    """Events that come together wake a reader once."""

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


def test_a_reader_whose_filter_hides_everything_gets_its_position() -> None:
    """A reader gets its position even if its filter leaves all events out, so that it can resume."""

    async def work() -> None:
        journal, readers, _ = made(size=3000)
        with readers.reading(View(jobs=frozenset({"none"})), None) as (reader, _):
            journal.accepted([row(f"j{number}") for number in range(2500)])
            content = reader.take()
            assert content.startswith(b"id: ")
            assert b"data" not in content

    on_loop(work)


def test_a_chunk_has_a_bound() -> None:
    """Many events are written in chunks of limited size."""

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


def test_a_reader_above_the_limit_is_refused() -> None:
    """A reader above the limit is refused, and the error names the limit."""

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
    """When the gateway stops, present readers and new readers are closed."""

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
    """A view shows an event that passes each of its filters."""
    assert view.shows(Noted(About.JOB, "j", "echo", JobState.QUEUED, "me", b"")) is shown


def test_filters_of_jobs_leave_other_events_alone() -> None:
    """Filters for jobs do not apply to events about power; only `about` leaves those out."""
    assert View(jobs=frozenset({"j"}), submitter="me").shows(Noted(About.POWER, "", "", None, "", b""))
