"""Manages the readers of `/v1/events`: the filter and the position of each, and a common wake-up for all."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec

from edge.core.errors import EdgeError
from edge.gateway.background.journal import Journal, Noted
from edge.gateway.background.status_watch import StatusWatch
from edge.model import JobState
from edge.wire import About, Event

#: Events within this time are written together. The first one after a pause goes out at once.
_GATHER_S = 0.2
_AT_ONCE = 500  # largest number of events in one write
_AT_ONCE_BYTES = 32 << 10  # half of the bytes that a transport buffers before its writer has to wait
#: A reader whose filter has left out this number of events gets its position, so that it can resume from there.
_MARK_EVERY = 1000


class TooManyReaders(EdgeError, RuntimeError):
    """The limit of concurrent readers is reached."""


class FellBehind(EdgeError, RuntimeError):
    """A reader was so slow that the next events for it are no longer in the journal."""


class View(msgspec.Struct, frozen=True):
    """The filter of one reader: the events that it wants and may see. An empty set lets every event pass."""

    about: frozenset[About] = frozenset()
    jobs: frozenset[str] = frozenset()
    kinds: frozenset[str] = frozenset()
    states: frozenset[JobState] = frozenset()
    submitter: str | None = None  # show only the jobs of this submitter; None shows the jobs of all

    @property
    def everything(self) -> bool:
        """True if the filter leaves no event out."""
        return self == _EVERYTHING

    def shows(self, event: Noted) -> bool:
        """Return True if this reader gets `event`."""
        if self.about and event.about not in self.about:
            return False
        if event.about is About.SCHEDULE:
            return self.submitter is None or event.submitter == self.submitter
        if event.about is not About.JOB:
            return True
        return (
            (not self.jobs or event.job_id in self.jobs)
            and (not self.kinds or event.task in self.kinds)
            and (not self.states or event.state in self.states)
            and (self.submitter is None or event.submitter == self.submitter)
        )

    def shows_output(self, job_id: str, kind: str, submitter: str) -> bool:
        """Return True if this reader gets the output of the program of this running job."""
        return (
            (not self.jobs or job_id in self.jobs)
            and (not self.kinds or kind in self.kinds)
            and (not self.states or JobState.RUNNING in self.states)
            and (self.submitter is None or submitter == self.submitter)
        )


_EVERYTHING = View()


class Reader:
    """The position of one reader in the journal. Made by `Readers.reading`; belongs to the event loop."""

    def __init__(self, journal: Journal, view: View, at: int) -> None:
        self._journal, self._view = journal, view
        self._at = self._marked = at
        self._everything = view.everything
        self._woken = False
        self._waiter: asyncio.Future[None] | None = None
        self.closed = False

    def take(self) -> bytes:
        """Return the next events for this reader, or nothing if there are none yet. Raises FellBehind."""
        while self._at < self._journal.last:
            if self._at < self._journal.first - 1:
                raise FellBehind(f"more than {self._journal.size} events behind")
            events = self._journal.after(self._at, _AT_ONCE)
            content, size_bytes = list[bytes](), 0
            for event in events:
                self._at += 1
                if self._everything or self._view.shows(event):
                    content.append(event.block)
                    size_bytes += len(event.block)
                    if size_bytes >= _AT_ONCE_BYTES:
                        break
            if content:
                self._marked = self._at
                return b"".join(content)
            if self._at - self._marked >= _MARK_EVERY:
                self._marked = self._at
                return self.mark()
        return b""

    def mark(self) -> bytes:
        """Return a line of the stream that tells the reader its position. Clients do not see it as an event."""
        return f"id: {self.id}\n\n".encode()

    @property
    def id(self) -> str:
        """Id of the last event that this reader got or that its filter left out."""
        return self._journal.id_of(self._at)

    async def more(self) -> None:
        """Wait until somebody wakes this reader, because there may be events to take or the gateway stops."""
        if not self._woken:
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        self._woken = False

    def wake(self) -> None:
        """End the wait in `more`, or the next one if the reader does not wait now."""
        self._woken = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def close(self) -> None:
        """Mark the reader as closed and wake it, because the gateway stops."""
        self.closed = True
        self.wake()


class Readers:
    """Manages all readers and followers of events. While there is one, the status files are watched.

    Belongs to the event loop.
    """

    def __init__(self, journal: Journal, watch: StatusWatch, *, most: int) -> None:
        self._journal, self._watch, self._most = journal, watch, most
        self._readers: set[Reader] = set()
        self._followers = 0
        self._flush_comes = False
        self._flushed_at = float("-inf")
        self._closed = False

    def __len__(self) -> int:
        return len(self._readers)

    @contextmanager
    def reading(self, view: View, after: tuple[str, int] | None) -> Iterator[tuple[Reader, bool]]:
        """Yield a reader of events, and whether events are missing between `after` and its first event.

        Args:
            view: the filter of the reader.
            after: the last event that the reader has, as (boot, number), or None to read from now on.

        Raises:
            TooManyReaders: the limit of readers is reached.
            OSError: the status files cannot be watched.
        """
        if len(self._readers) >= self._most:
            limit = "half of gateway.max_connections"
            raise TooManyReaders(f"{self._most} readers of events are connected; at most {limit} are allowed")
        journal = self._journal
        number = journal.last
        missing = False
        if after is not None:
            missing = after[0] != journal.boot or not journal.first - 1 <= after[1] <= journal.last
            number = number if missing else after[1]
        reader = Reader(journal, view, number)
        if not self._readers:
            journal.listen(self._on_event, look=self._watch.look)
            self._readers.add(reader)
            try:
                if not self._followers:
                    self._watch.start()
            except OSError:
                self._remove(reader)
                raise
        else:
            self._readers.add(reader)
        if self._closed:
            reader.close()
        try:
            yield reader, missing
        finally:
            self._remove(reader)

    @contextmanager
    def following(self, follower: Callable[[Event | None], None]) -> Iterator[None]:
        """Call `follower` for each event, and with None whenever a status file was written, inside the block.

        A follower is a part of the gateway that reads the state of the board by itself and only needs to know when it
        changes. It does not count as a reader, and no event is kept for it. Raises OSError.
        """
        self._journal.follow(follower)
        self._followers += 1
        try:
            if not self._readers and self._followers == 1:
                self._watch.start()
            yield
        finally:
            self._followers -= 1
            self._journal.unfollow(follower)
            self._stop_if_unused()

    def close(self) -> None:
        """End all streams, because the gateway stops."""
        self._closed = True
        for reader in self._readers:
            reader.close()

    def _remove(self, reader: Reader) -> None:
        self._readers.discard(reader)
        if not self._readers:
            self._journal.unlisten()
        self._stop_if_unused()

    def _stop_if_unused(self) -> None:
        """Stop watching if there are neither readers nor followers."""
        if not self._readers and not self._followers:
            self._watch.stop()

    def _on_event(self) -> None:
        if self._flush_comes:
            return
        self._flush_comes = True
        loop = asyncio.get_running_loop()
        loop.call_at(max(loop.time(), self._flushed_at + _GATHER_S), self._flush)

    def _flush(self) -> None:
        self._flush_comes = False
        self._flushed_at = asyncio.get_running_loop().time()
        for reader in self._readers:
            reader.wake()
