"""Chooses by name which processes of a scaled entry start and which retire, and finds those that keep crashing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from edge.config.workers import WorkerEntry, instance
from edge.model import WorkerState, WorkerStatus

#: A worker whose process ended this often within `_WINDOW_S`, without being asked to, keeps crashing.
_CRASHES = 3
_WINDOW_S = 300.0
#: A worker that has been missing for this long will not get ready. A task module may take a minute to import.
_LATE_S = 120.0
#: The start of a missing worker is requested again after this time.
_AGAIN_S = 30.0
#: The same for a failing worker. The time is long, so that failing starts do not drain the battery.
_FAILING_AGAIN_S = 300.0

_BUSY = (WorkerState.RUNNING, WorkerState.HELD)


class Process:
    """The record of one worker that should run: whether it lives, and how often it crashed."""

    def __init__(self) -> None:
        self.pid = 0
        self.crashes: list[float] = []  # times of the crashes within `_WINDOW_S`
        self.missing_s: float | None = None  # time since which the worker is missing; None while it lives
        self.asked_s: float | None = None  # time of the last request to start it

    def see(self, pid: int | None, now_s: float) -> None:
        """Record the process id of the worker, or None if the worker does not live."""
        self.crashes = [at for at in self.crashes if now_s - at < _WINDOW_S]
        if self.pid and pid != self.pid:
            self.crashes.append(now_s)
        self.pid = pid or 0
        if pid:
            self.missing_s = self.asked_s = None
        elif self.missing_s is None:
            self.missing_s = now_s

    def failing(self, now_s: float) -> bool:
        """Return True if the worker does not count as capacity: it is missing for too long, or keeps crashing."""
        late = self.missing_s is not None and now_s - self.missing_s >= _LATE_S
        return late or len(self.crashes) >= _CRASHES


class Roster:
    """Holds the names of the processes of one entry that should run. `living` is the status of all workers that live.

    Belongs to the governor's thread. Times are monotonic seconds.
    """

    def __init__(self, entry: WorkerEntry, living: Mapping[str, WorkerStatus]) -> None:
        """Begin with the processes of the entry that live. An earlier governor of this boot wanted them."""
        self._entry = entry
        instances = (instance(entry, number) for number in range(1, entry.most + 1))
        self._processes = {name: Process() for name in instances if name in living}

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the processes that should run."""
        return tuple(self._processes)

    def see(self, living: Mapping[str, WorkerStatus], now_s: float) -> None:
        """Record which processes live."""
        for name, process in self._processes.items():
            process.see(living[name].pid if name in living else None, now_s)

    def running(self, living: Mapping[str, WorkerStatus]) -> tuple[str, ...]:
        """Return those of `names` that live."""
        return tuple(name for name in self._processes if name in living)

    def failing(self, now_s: float) -> tuple[str, ...]:
        """Return those of `names` that keep crashing or do not get ready, and so do not count as capacity for jobs."""
        return tuple(name for name, process in self._processes.items() if process.failing(now_s))

    def resize(self, count: int, living: Mapping[str, WorkerStatus], now_s: float) -> None:
        """Change the number of names to `count`.

        Processes without a job are removed first. When names are added, a process that still lives comes first.
        """
        while len(self._processes) > count:
            del self._processes[min(self._processes, key=lambda name: self._worth(name, living, now_s))]
        while len(self._processes) < count:
            free = (instance(self._entry, number) for number in range(1, self._entry.most + 1))
            name = min((name for name in free if name not in self._processes), key=lambda name: name not in living)
            self._processes[name] = Process()

    def to_start(self, living: Mapping[str, WorkerStatus], now_s: float) -> Iterator[str]:
        """Yield the names whose start must be requested now. Each one that is yielded counts as requested."""
        for name, process in self._processes.items():
            again_s = _FAILING_AGAIN_S if process.failing(now_s) else _AGAIN_S
            if name not in living and (process.asked_s is None or now_s - process.asked_s >= again_s):
                process.asked_s = now_s
                yield name

    def _worth(self, name: str, living: Mapping[str, WorkerStatus], now_s: float) -> tuple[bool, bool, bool, int]:
        """Return a sort key: the process with the smallest key is removed first."""
        status = living.get(name)
        busy = status is not None and status.state in _BUSY
        return (
            status is not None,
            not self._processes[name].failing(now_s),
            busy,
            -int(name.rpartition("-")[2]),
        )
