"""Decides which jobs the broker gets next: by priority, a few at a time, within the limits of their kinds.

The ledger may hold a hundred thousand accepted jobs, but the broker gets only a window of each queue. Nothing here
polls: new jobs and ended jobs wake the publisher, which calls `next`.

The jobs of a queue form a lane; a kind with a limit has a lane for itself. A job is "out" while the broker has it. A
lane is "behind" while some of its jobs were passed over and are not out.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Mapping, Sequence, Set

import msgspec

from edge.broker.routes import Routes
from edge.config import Config, LimitConfig
from edge.core.clock import plausible
from edge.ledger.reader import READ_BYTES, LedgerReader
from edge.ledger.rows import JobRow
from edge.model import Pool, Power, Result
from edge.schedule import limits
from edge.schedule.lane import Lane
from edge.schedule.later import USUAL_PRIORITY
from edge.schedule.limits import Room
from edge.schedule.release import MOST, Overtaken, Pace, refill, window

_HIGH, _LOW = range(9, USUAL_PRIORITY, -1), range(USUAL_PRIORITY - 1, -1, -1)
#: Smallest window of a queue that a worker of threads consumes, because it runs many bodies at once.
_THREADS = 512


class _Out(msgspec.Struct, frozen=True):
    """A job that the broker has, or that is being published to it."""

    task: str
    queue: str
    confirmed: bool = False  # the broker has confirmed it


class Release:
    """Chooses the next jobs in the publisher's thread; other threads report new and ended jobs.

    `load` and `next` hold the lock while they read the ledger. All other methods may be called in any thread and hold
    the lock for a short time.
    """

    def __init__(
        self,
        config: Config,
        *,
        routes: Callable[[], Routes],
        begun: Callable[[], Mapping[str, float]] = dict,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """Begin without jobs at the broker; `load` adds those of an earlier gateway.

        Args:
            config: the limits and the size of the window.
            routes: returns the present routes.
            begun: returns for each job that is known to run how many seconds it has run.
            clock: the monotonic clock, in seconds.
            wall: the wall clock, in seconds since 1970.
        """
        self._limits: Mapping[str, LimitConfig] = config.limits
        self._usual = config.gateway.release_window
        threads = sum(each.bodies for each in config.planned(io=True) if each.takes is Pool.IO)
        self._usual_io = max(self._usual, _THREADS, 2 * threads)
        self._get_routes, self._begun, self._clock = routes, begun, clock
        self._wall = wall
        self._lock = threading.Lock()  # guards all fields below
        self._routes: Routes | None = None  # the routes from which `_lanes` was made
        self._lanes: dict[tuple[str, Power], Lane] = {}
        self._out: dict[str, _Out] = {}  # by job id
        self._out_by_queue: Counter[str] = Counter()
        self._out_by_kind: Counter[str] = Counter()
        self._paces: defaultdict[str, Pace] = defaultdict(Pace)
        self._starts: dict[str, deque[float]] = {kind: deque(maxlen=100_000) for kind in self._limits}
        self._head = 0  # all jobs of default priority up to this number (`seq`) are out, or their lane is in `_behind`
        #: Lanes with jobs that are not out. For each priority: all jobs of the lane up to this number (`seq`) are out.
        self._behind: defaultdict[Lane, dict[int, int]] = defaultdict(dict)
        self._failed = False  # the last `next` could not read the ledger to the end
        self._overtaken = Overtaken(config.gateway.overtaken_s)
        self._again_s: float | None = None

    # ---- the publisher's thread ----

    def load(self, reader: LedgerReader) -> None:
        """Count the jobs that an earlier gateway published as out, and learn how long others wait. Raises StorageError.

        The time before this start is measured by the wall clock. If it is not set, all jobs start to wait anew.
        """
        with self._lock:
            now, wall = self._clock(), self._wall()
            if plausible(wall):
                times = [wall - age for age in self._overtaken.ages()]
                self._overtaken.recall(reader.accepted_by(times), now=now)
                if any(limit.per_minute is not None for limit in self._limits.values()):
                    # The ledger does not know when the bodies began. With their ends a limit is kept, too.
                    for task, ended_at in reader.ended_since(wall - limits.MINUTE_S):
                        if task in self._starts:
                            self._starts[task].append(now - max(0.0, wall - ended_at))
            for job_id, task, power in reader.queued():
                self._add(job_id, task, self._lane(task, power), confirmed=True)

    def next(self, reader: LedgerReader, limit: int, *, anew: bool) -> list[JobRow]:
        """Return at most `limit` jobs to publish now, in order. Raises StorageError.

        With `anew` the ledger is read from its beginning, so that older jobs are found, too.
        """
        with self._lock:
            if anew or self._failed:
                self._begin_anew(reader)
            self._failed = True
            jobs = self._next(reader, limit, self._clock())
            self._failed = False
            return jobs

    def _next(self, reader: LedgerReader, limit: int, now: float) -> list[JobRow]:
        self._again_s = None
        jobs = list[JobRow]()
        newest = reader.newest
        self._overtaken.note(newest, now=now)
        upto = self._overtaken.upto(now)
        for lane, cursors in list(self._behind.items()):
            for priority in (each for each in range(9) if each in cursors and upto):
                jobs += self._more(reader, lane, priority, limit - len(jobs), now, upto=upto)
            for priority in (each for each in _HIGH if each in cursors):
                jobs += self._more(reader, lane, priority, limit - len(jobs), now)
            if USUAL_PRIORITY in cursors:
                jobs += self._more(reader, lane, USUAL_PRIORITY, limit - len(jobs), now)
        jobs += self._fresh(reader, newest, limit - len(jobs), now)
        for lane, cursors in list(self._behind.items()):
            for priority in (each for each in _LOW if each in cursors):
                if not any(higher in cursors for higher in range(priority + 1, 10)):
                    jobs += self._more(reader, lane, priority, limit - len(jobs), now)
            if not cursors:
                del self._behind[lane]
        return jobs

    def confirmed(self, jobs: Iterable[JobRow]) -> None:
        """Note that the broker has confirmed these jobs."""
        with self._lock:
            for job in jobs:
                if (out := self._out.get(job.id)) is not None:
                    self._out[job.id] = msgspec.structs.replace(out, confirmed=True)

    def lost_all(self) -> None:
        """Count no job as out, because the broker may have lost all of them."""
        with self._lock:
            for job_id in list(self._out):
                self._drop(job_id)

    # ---- any thread ----

    def came(self, jobs: Iterable[JobRow]) -> None:
        """Note jobs that may be published now.

        Needed for a job with another priority than the default, and for a job before those that were read already.
        `next` finds all others by itself.
        """
        with self._lock:
            for job in jobs:
                if job.priority != USUAL_PRIORITY or job.seq <= self._head:
                    self._drop(job.id)
                    self._set_behind(self._lane(job.task, job.power), job)

    def reranked(self, job: JobRow) -> None:
        """Note that this job has another priority now. A job that the broker has keeps its place."""
        with self._lock:
            if job.id not in self._out:
                self._set_behind(self._lane(job.task, job.power), job)

    def gets_more_after(self, ended: Set[str]) -> bool:
        """Return True if a queue gets further jobs once the jobs in `ended` are settled.

        That is so if jobs wait for a place, and at most half of the queue's window remains out.
        """
        with self._lock:
            if not self._behind or not ended:
                return False
            queues = {lane.queue for lane in self._behind}
            left = self._out_by_queue.copy()
            for job_id in ended:
                if (out := self._out.get(job_id)) is not None:
                    left[out.queue] -= 1
            now = self._clock()
            return any(
                2 * left[queue] <= window(self._usual_of(queue), self._paces[queue].lately(now)) for queue in queues
            )

    def ended(self, results: Iterable[Result]) -> bool:
        """Note that these jobs have results. Return True if other jobs may be published in their place."""
        now, counts = self._clock(), Counter[str]()
        with self._lock:
            for result in results:
                if (out := self._out.get(result.id)) is None:
                    continue
                self._drop(result.id)
                counts[out.queue] += 1
                if (starts := self._starts.get(out.task)) is not None and result.started_at is not None:
                    starts.append(now - result.seconds)
            for queue, count in counts.items():
                self._paces[queue].note(count, now=now)
            return bool(counts and self._behind)

    def back(self, job_ids: Iterable[str]) -> bool:
        """Note jobs that left the broker without a result. Return True if others may be published in their place."""
        with self._lock:
            found = [job_id for job_id in job_ids if job_id in self._out]
            for job_id in found:
                self._drop(job_id)
            return bool(found and self._behind)

    @property
    def again_s(self) -> float | None:
        """Seconds until `next` may return more jobs although nothing happens, or None if it will not."""
        return self._again_s

    @property
    def out(self) -> int:
        """Number of jobs that the broker has or is getting."""
        return len(self._out)

    def why(self, job: JobRow) -> str:
        """Return the reason why the broker does not have an accepted job; empty if it may be on its way."""
        with self._lock:
            if job.id in self._out:
                return ""
            lane, now = self._lane(job.task, job.power), self._clock()
            if lane.limited:
                room = self._limit_room(lane.limited, now)
                if room.jobs <= 0:
                    return self._limit_reason(lane.limited, room)
            return "waits in the ledger for its turn" if lane in self._behind else ""

    # ---- inside, under the lock ----

    def _begin_anew(self, reader: LedgerReader) -> None:
        for job_id in [job_id for job_id, out in self._out.items() if not out.confirmed]:
            self._drop(job_id)
        self._head = 0
        self._behind.clear()
        for task, power, priority in reader.ranked_kinds():
            self._behind[self._lane(task, power)][priority] = 0

    def _set_behind(self, lane: Lane, job: JobRow) -> None:
        """Make sure that the next look at `lane` finds `job`."""
        cursors = self._behind[lane]
        cursors[job.priority] = min(job.seq - 1, cursors.get(job.priority, job.seq))

    def _lane(self, task: str, power: Power) -> Lane:
        routes = self._get_routes()
        if routes is not self._routes:
            self._routes = routes
            self._lanes.clear()
        found = self._lanes.get((task, power))
        if found is None:
            queue = routes.queue(task, power)
            if task in self._limits:
                found = Lane(queue, power, frozenset({task}), True, task)
            else:
                kinds, only = routes.kinds_sharing(task)
                limited = frozenset(self._limits)
                found = Lane(queue, power, kinds - limited if only else kinds | limited, only)
            if len(self._lanes) > MOST:  # spawned jobs may have any name of a kind, so the number has no other bound
                self._lanes.clear()
            self._lanes[task, power] = found
        return found

    def _room(self, lane: Lane, now: float, *, eager: bool) -> int:
        """Return how many jobs of `lane` may be published now.

        Without `eager` there are none until half of the jobs that are out have ended.
        """
        usual = self._usual_of(lane.queue)
        out, lately = self._out_by_queue[lane.queue], self._paces[lane.queue].lately(now)
        jobs = max(0, window(usual, lately) - out if eager else refill(usual, lately, out=out))
        if lane.limited:
            room = self._limit_room(lane.limited, now)
            self._wait(room)
            # A limit may allow one job at a time, so waiting for a group would be pointless.
            jobs = min(room.jobs, max(0, window(usual, lately) - out))
        return jobs

    def _usual_of(self, queue: str) -> int:
        return self._usual_io if queue.startswith("edge.io.") else self._usual

    def _limit_room(self, kind: str, now: float) -> Room:
        limit, starts = self._limits[kind], self._starts[kind]
        while starts and now - starts[0] > limits.MINUTE_S and len(starts) > 1:
            starts.popleft()
        out, old = self._out_by_kind[kind], 0
        if limit.per_minute is not None and out:
            begun = self._begun()
            old = sum(
                begun.get(job_id, 0.0) > limits.MINUTE_S for job_id, each in self._out.items() if each.task == kind
            )
        room = limits.room(limit, out=out, may_begin=out - old, begun=starts, now=now)
        if limit.per_minute is not None and out and room.again_s is None and room.jobs <= 0:
            # No event reports that a body has run for a minute. So look again after a minute.
            return Room(room.jobs, limits.MINUTE_S)
        return room

    def _limit_reason(self, kind: str, room: Room) -> str:
        limit, out = self._limits[kind], self._out_by_kind[kind]
        if limit.at_once is not None and out >= limit.at_once:
            return f"waits for the limit of {kind}, {limit.at_once} at once: the next one starts when one ends"
        when = f"in {room.again_s:.0f} s" if room.again_s is not None else "when one has begun and a minute is over"
        return f"waits for the limit of {kind}, {limit.per_minute} a minute: the next one may start {when}"

    def _wait(self, room: Room) -> None:
        if room.jobs <= 0 and room.again_s is not None:
            self._again_s = room.again_s if self._again_s is None else min(self._again_s, room.again_s)

    def _take(self, jobs: Sequence[JobRow], lane: Lane) -> list[JobRow]:
        """Return the jobs that are not out yet, and count them as out from now on."""
        fresh = [job for job in jobs if job.id not in self._out]
        for job in fresh:
            self._add(job.id, job.task, lane, confirmed=False)
        return fresh

    def _add(self, job_id: str, task: str, lane: Lane, *, confirmed: bool) -> None:
        self._drop(job_id)
        self._out[job_id] = _Out(task, lane.queue, confirmed)
        self._out_by_queue[lane.queue] += 1
        self._out_by_kind[task] += 1

    def _drop(self, job_id: str) -> None:
        if (out := self._out.pop(job_id, None)) is not None:
            self._out_by_queue[out.queue] -= 1
            self._out_by_kind[out.task] -= 1
            if not self._out_by_kind[out.task]:
                del self._out_by_kind[out.task]

    def _more(
        self, reader: LedgerReader, lane: Lane, priority: int, limit: int, now: float, *, upto: int = 0
    ) -> list[JobRow]:
        """Return further jobs of a lane that is behind.

        With `upto` only jobs that have waited since the job of this number was the newest, and those before them.
        """
        eager = priority > USUAL_PRIORITY or bool(upto)
        room = min(limit, self._room(lane, now, eager=eager))
        taken, size, cursors = list[JobRow](), 0, self._behind[lane]
        while len(taken) < room and size < READ_BYTES:
            wanted = room - len(taken)
            found = reader.accepted(lane, priority=priority, after_seq=cursors[priority], limit=wanted)
            if not found:
                del cursors[priority]
                break
            if upto:
                # A job that waited for its time or for others has a lower number than jobs that wait longer. It is not
                # passed over, because among jobs of the same priority the older one starts first.
                count = max((place for place, job in enumerate(found, 1) if job.ready_seq <= upto), default=0)
                found = found[:count]
                if not found:
                    break
            cursors[priority] = found[-1].seq
            taken += self._take(found, lane)
            size += sum(len(job.arguments) for job in found)
        return taken

    def _fresh(self, reader: LedgerReader, newest: int, limit: int, now: float) -> list[JobRow]:
        """Return jobs that were not read yet, of lanes with room."""
        taken, size = list[JobRow](), 0
        while len(taken) < limit and self._head < newest and size < READ_BYTES:
            wanted = limit - len(taken)
            full = [lane for lane, cursors in self._behind.items() if USUAL_PRIORITY in cursors]
            if full:
                found = reader.unpublished_outside(full, after_seq=self._head, limit=wanted)
            else:
                found = reader.unpublished(after_seq=self._head, limit=wanted)
            for job in found:
                lane = self._lane(job.task, job.power)
                if job.id in self._out:
                    continue
                if job.priority != USUAL_PRIORITY:
                    self._set_behind(lane, job)
                elif USUAL_PRIORITY in self._behind.get(lane, ()):
                    continue
                elif self._room(lane, now, eager=True) > 0:
                    taken += self._take([job], lane)
                else:
                    self._set_behind(lane, job)
            size += sum(len(job.arguments) for job in found)
            self._head = found[-1].seq if found else newest
        return taken
