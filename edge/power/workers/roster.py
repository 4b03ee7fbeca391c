"""The processes of one scaled entry by name: who is started, who retires, who crashes again and again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from edge.config.workers import WorkerEntry, instance
from edge.model import WorkerState, WorkerStatus

#: A worker that ended so often within `_WINDOW_S` without being told to crashes again and again.
_CRASHES = 3
_WINDOW_S = 300.0
#: One that is not there this long after it was asked for does not get ready. A task module may take a minute to import.
_LATE_S = 120.0
#: A worker that is missing is asked for again after this time ...
_AGAIN_S = 30.0
#: ... and one that fails after this, so that a broken board does not drain its battery.
_FAILING_AGAIN_S = 300.0

_BUSY = (WorkerState.RUNNING, WorkerState.HELD)


class Process:
    """What is known of one worker that is to run: whether it can be counted on."""

    def __init__(self) -> None:
        self.pid = 0
        self.crashes: list[float] = []
        self.missing_s: float | None = None  # since when it does not live
        self.asked_s: float | None = None  # when it was asked for last

    def see(self, pid: int | None, now_s: float) -> None:
        """Note whether it lives now, and as which process."""
        self.crashes = [at for at in self.crashes if now_s - at < _WINDOW_S]
        if self.pid and pid != self.pid:
            self.crashes.append(now_s)
        self.pid = pid or 0
        if pid:
            self.missing_s = self.asked_s = None
        elif self.missing_s is None:
            self.missing_s = now_s

    def failing(self, now_s: float) -> bool:
        """True while it cannot be counted on."""
        late = self.missing_s is not None and now_s - self.missing_s >= _LATE_S
        return late or len(self.crashes) >= _CRASHES


class Roster:
    """Belongs to the governor's loop. Times are monotonic seconds."""

    def __init__(self, entry: WorkerEntry, living: Mapping[str, WorkerStatus]) -> None:
        """Go on with the processes that live, of an earlier governor of this boot."""
        self._entry = entry
        mine = (instance(entry, number) for number in range(1, entry.most + 1))
        self._processes = {name: Process() for name in mine if name in living}

    @property
    def names(self) -> tuple[str, ...]:
        """The processes that are to run."""
        return tuple(self._processes)

    def see(self, living: Mapping[str, WorkerStatus], now_s: float) -> None:
        """Take in which workers live."""
        for name, process in self._processes.items():
            process.see(living[name].pid if name in living else None, now_s)

    def running(self, living: Mapping[str, WorkerStatus]) -> tuple[str, ...]:
        """Those of `names` that live."""
        return tuple(name for name in self._processes if name in living)

    def failing(self, now_s: float) -> tuple[str, ...]:
        """Those of `names` that are no capacity."""
        return tuple(name for name, process in self._processes.items() if process.failing(now_s))

    def resize(self, count: int, living: Mapping[str, WorkerStatus], now_s: float) -> None:
        """Have `count` names. Those that do nothing go first, and come back first while they still live."""
        while len(self._processes) > count:
            del self._processes[min(self._processes, key=lambda name: self._worth(name, living, now_s))]
        while len(self._processes) < count:
            free = (instance(self._entry, number) for number in range(1, self._entry.most + 1))
            name = min((name for name in free if name not in self._processes), key=lambda name: name not in living)
            self._processes[name] = Process()

    def to_start(self, living: Mapping[str, WorkerStatus], now_s: float) -> Iterator[str]:
        """Those that are to be asked for now; each counts as asked for."""
        for name, process in self._processes.items():
            again_s = _FAILING_AGAIN_S if process.failing(now_s) else _AGAIN_S
            if name not in living and (process.asked_s is None or now_s - process.asked_s >= again_s):
                process.asked_s = now_s
                yield name

    def _worth(self, name: str, living: Mapping[str, WorkerStatus], now_s: float) -> tuple[bool, bool, bool, int]:
        """What is lost with a worker, the least first."""
        status = living.get(name)
        busy = status is not None and status.state in _BUSY
        return (
            status is not None,
            not self._processes[name].failing(now_s),
            busy,
            -int(name.rpartition("-")[2]),
        )
