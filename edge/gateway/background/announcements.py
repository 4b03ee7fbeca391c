"""Receives announcements of the workers from inotify: durable results, failed attempts and spawned jobs.

Lost inotify events are noticed and make the gateway look at all files.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator, Set
from contextlib import contextmanager
from dataclasses import dataclass, field

from edge.core import durable
from edge.core.errors import StorageError
from edge.core.layout import Layout
from edge.core.watch import Changes, On, Watch
from edge.model import is_job_id
from edge.results.spawned import SpawnedFiles, parent_of

log = logging.getLogger(__name__)

#: Time for which the kernel gathers further announcements if the present ones are not urgent. Each read wakes the loop.
_GATHER_S = 0.02


@dataclass
class Announced:
    """The jobs and files announced since the last `take`. With `lost`, events were lost: look at everything."""

    results: set[str] = field(default_factory=set)
    removed: set[str] = field(default_factory=set)
    attempts: set[str] = field(default_factory=set)
    spawned: set[str] = field(default_factory=set)  # names of files
    lost: bool = False

    @property
    def anything(self) -> bool:
        """True unless it is empty."""
        return bool(self.results or self.removed or self.attempts or self.spawned or self.lost)


class _Taker:
    """The caller that waits in `Announcements.take`. It is woken once for a group of announcements."""

    def __init__(self, until: float, urgent: Callable[[Announced], bool]) -> None:
        self._loop = asyncio.get_running_loop()
        self._until, self._urgent = until, urgent
        self._alarm: asyncio.TimerHandle | None = None
        self.ready: asyncio.Future[None] = self._loop.create_future()

    def look(self, pending: Announced) -> None:
        """Wake the caller now if `pending` is urgent, else when it has waited long enough."""
        if not pending.anything:
            return
        if self._urgent(pending):
            self._wake()
        elif self._alarm is None:
            self._alarm = self._loop.call_at(self._until, self._wake)

    def close(self) -> None:
        """Cancel the timer."""
        if self._alarm is not None:
            self._alarm.cancel()

    def _wake(self) -> None:
        if not self.ready.done():
            self.ready.set_result(None)


class Announcements:
    """Watches `results/.staging`, `attempts/` and `spawned/`. Runs on the event loop.

    A name that is removed from `.staging` means that a result is durable. `take` returns everything that was announced
    since its last call. Further announcements are collected while the caller processes these.
    """

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        # The watched folders. They are kept here, because the layout makes each path anew, for every group of events.
        self._staging, self._attempts, self._spawned = layout.staging, layout.attempts, layout.spawned
        self._watch: Watch | None = None
        self._pending = Announced()
        self._taker: _Taker | None = None

    def start(self) -> None:
        """Start watching. Raises StorageError if a folder cannot be made or watched."""
        try:
            watch = Watch()
        except OSError as err:
            raise StorageError("cannot watch for results", err) from err
        self._watch = watch
        self._add_folders(watch)
        self._listen(watch)

    def close(self) -> None:
        """Stop watching; a second call does nothing."""
        watch, self._watch = self._watch, None
        if watch is not None:
            asyncio.get_running_loop().remove_reader(watch)
            watch.close()

    async def take(self, *, until: float = 0.0, urgent: Callable[[Announced], bool] = lambda _: True) -> Announced:
        """Wait for announcements and return all since the last call.

        Args:
            until: time of the event loop until which announcements that are not urgent wait for further ones.
            urgent: tells whether the announcements so far must be returned at once.
        """
        self._taker = taker = _Taker(until, urgent)
        try:
            taker.look(self._pending)
            await taker.ready
        finally:
            self._taker = None
            taker.close()
        announced, self._pending = self._pending, Announced()
        return announced

    def add(self, announced: Announced) -> None:
        """Let the next `take` return `announced` too, because it could not be processed, or to start a full look."""
        self._pending.results |= announced.results
        self._pending.removed |= announced.removed
        self._pending.attempts |= announced.attempts
        self._pending.spawned |= announced.spawned
        self._pending.lost |= announced.lost
        self._look()

    def _look(self) -> None:
        if self._taker is not None:
            self._taker.look(self._pending)

    def _add_folders(self, watch: Watch) -> None:
        try:
            durable.make_folder(self._staging)
            durable.make_folder(self._attempts)
            watch.add(self._staging, on=On.DELETED)
            watch.add(self._attempts, on=On.MOVED_TO)
            SpawnedFiles(self._layout).prepare()
            watch.add(self._spawned, on=On.MOVED_TO)
        except OSError as err:
            raise StorageError("cannot watch for results", err) from err

    def _listen(self, watch: Watch) -> None:
        if watch is self._watch:  # not closed meanwhile
            asyncio.get_running_loop().add_reader(watch, self._readable, watch)

    def _readable(self, watch: Watch) -> None:
        changes = watch.read()
        if changes.overflow:
            log.warning("more results came at once than the kernel can queue; reading all of them")
        self._pending.lost |= changes.lost
        self._note(changes)
        if changes.gone:
            self._watch_again(watch)
        self._look()
        if self._taker is not None and not self._taker.ready.done():
            loop = asyncio.get_running_loop()
            loop.remove_reader(watch)
            loop.call_later(_GATHER_S, self._listen, watch)

    def _note(self, changes: Changes) -> None:
        """Note the files that are named after jobs. Other files were put there by a person and are ignored."""
        for job_id, kind in _jobs(changes.of(self._staging)):
            if kind == "json":
                self._pending.results.add(job_id)
            elif kind == "gone":
                self._pending.removed.add(job_id)
        for job_id, kind in _jobs(changes.of(self._attempts)):
            if kind == "json":
                self._pending.attempts.add(job_id)
        self._pending.spawned.update(filter(parent_of, changes.of(self._spawned)))

    def _watch_again(self, watch: Watch) -> None:
        log.warning("a watched folder went away; watching it anew")
        try:
            self._add_folders(watch)
        except StorageError as err:
            log.error("%s; results are seen after the next start", err)


def _jobs(names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield job id and suffix of each file name that begins with a job id."""
    for name in names:
        job_id, _, kind = name.rpartition(".")
        if is_job_id(job_id):
            yield job_id, kind


class Waiters:
    """Holds the requests that wait for a job to end. Runs on the event loop."""

    def __init__(self) -> None:
        self._futures: dict[str, set[asyncio.Future[None]]] = {}
        self._closed = False

    def __len__(self) -> int:
        return sum(map(len, self._futures.values()))

    @contextmanager
    def expecting(self, job_id: str) -> Iterator[asyncio.Future[None]]:
        """Yield a future that is done once the job has ended.

        Look for the result again after entering: the job may have ended before.
        """
        future = asyncio.get_running_loop().create_future()
        if self._closed:
            future.set_result(None)
        waiting = self._futures.setdefault(job_id, set())
        waiting.add(future)
        try:
            yield future
        finally:
            waiting.discard(future)
            if not waiting and self._futures.get(job_id) is waiting:
                del self._futures[job_id]

    def any_of(self, job_ids: Set[str]) -> bool:
        """Return True if a request waits for one of these jobs."""
        return not self._futures.keys().isdisjoint(job_ids)

    def ended_for(self, future: asyncio.Future[None]) -> bool:
        """Return True if `future` is done because the job ended, not because the gateway stops."""
        return future.done() and not self._closed

    def wake(self, job_id: str) -> None:
        """Wake the requests that wait for this job, because its end is durable."""
        for future in self._futures.get(job_id, ()):
            if not future.done():
                future.set_result(None)

    def close(self) -> None:
        """Wake all requests, because the gateway stops. From now on no request waits."""
        self._closed = True
        for job_id in list(self._futures):
            self.wake(job_id)
