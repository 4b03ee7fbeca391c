"""Applies the rule of scaling to each scaled entry of `workers:`, and writes which workers should run.

The scaler requests a start with a file in `run/scaling/start/`. The supervisor of the processes (`edge up`, systemd, or
the container's `run`) then starts the worker. A worker that is no longer named in `run/scaling/workers.json` ends by
itself between two jobs, so no body is interrupted.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Mapping

import msgspec

from edge.config import Config
from edge.config.workers import WorkerEntry, entry_of
from edge.core import durable, stored
from edge.core.errors import StorageError
from edge.core.host import boot_id, process_alive
from edge.model import (
    ALLOWED,
    Backlog,
    OpenJobs,
    Power,
    PowerState,
    PowerStatus,
    ScaledWorkers,
    ScaleStep,
    ScalingStatus,
    WorkerState,
    WorkerStatus,
)
from edge.power.energy import calibration
from edge.power.scaling.backlog import KindBacklog, shared, taken
from edge.power.scaling.board import Board
from edge.power.scaling.decide import Decision, Hand, decide
from edge.power.scaling.state import ScaleState
from edge.power.status import pause_percent
from edge.power.workers import by_hand, left
from edge.power.workers.living import living
from edge.power.workers.roster import Process, Roster

#: Number of decisions of each entry that are kept in the status.
STEPS = 20
#: Shortest time between two writes of the status if only its sentences changed. Each write wakes all its readers.
_WORDS_S = 5.0
#: Time until the next turn if nothing happens before: `_SOON_S` while a worker should start or an urgent job waits,
#: `_WORKING_S` while there are jobs that may run.
_SOON_S, _WORKING_S = 2.0, 10.0


class _Entry:
    """The state of one scaled entry between two turns."""

    def __init__(self, entry: WorkerEntry, living: Mapping[str, WorkerStatus], now_s: float) -> None:
        self.entry = entry
        self.roster = Roster(entry, living)
        count = len(self.roster.names)
        # The processes that an earlier governor started count as wanted until now.
        self.state = ScaleState(wanted=count, asked=count, changed_s=now_s if count else None)
        self.steps: deque[ScaleStep] = deque(maxlen=STEPS)
        self.decision: Decision | None = None


class Scaler:
    """Decides about the scaled entries of a board. The governor's loop calls `turn`, on the governor's thread.

    Without scaled entries the governor has no scaler. All times are monotonic seconds.
    """

    def __init__(self, config: Config, log: Callable[[str], None]) -> None:
        """Make the folders, and remove old requests to start workers. Raises OSError."""
        self._config, self._layout, self._log = config, config.layout, log
        _, self._cpu_watts = calibration.watts(config)
        for folder in (self._layout.starts, config.backlog.parent):
            folder.mkdir(parents=True, exist_ok=True)
        for path in self._layout.starts.iterdir():
            path.unlink(missing_ok=True)  # a request of an earlier governor
        now_s, found = time.monotonic(), living(self._layout)
        #: Workers that are not scaled and always run, by name.
        self._fixed = {entry.name: (entry, Process()) for entry in config.workers if not entry.scaled}
        self._entries = [_Entry(entry, found, now_s) for entry in config.scaled]
        self._power: PowerState | None = None
        self._due_s: float | None = now_s
        self._written: ScalingStatus | None = None
        self._written_s = -math.inf

    def changed(self) -> None:
        """Make the next turn decide anew. Call it when the backlog changed, or when a person set a number."""
        self._due_s = None

    def wait_s(self, now_s: float) -> float | None:
        """Return the seconds until the next turn is due, or None if nothing is due until something happens."""
        if self._due_s is None:
            return 0.0
        return None if self._due_s == math.inf else max(0.0, self._due_s - now_s)

    def turn(self, now_s: float, power: PowerStatus) -> None:
        """Decide about each entry if a turn is due, if something changed, or if the power state changed."""
        moved = power.state is not self._power
        if not moved and self._due_s is not None and now_s < self._due_s:
            return
        self._power = power.state
        rows, found, hands = self._rows(), living(self._layout), by_hand.current(self._layout.scale_by_hand)
        # After power fell, workers need a moment until they hold their jobs. So look at them once more.
        dues = [now_s + _SOON_S] if moved else []
        for name, (_, process) in self._fixed.items():
            process.see(found[name].pid if name in found else None, now_s)
        for each in self._entries:
            dues += self._decide(each, rows, found, hands, power, now_s)
        dues += self._write(found, hands, now_s)
        self._due_s = min(dues, default=math.inf)
        try:
            by_hand.forget(self._layout.scale_by_hand)
        except StorageError as err:
            self._log(str(err))

    # --- inside -----------------------------------------------------------------------------------------------

    def _rows(self) -> tuple[OpenJobs, ...]:
        """Return the open jobs as the gateway (on a node, a worker) wrote them; none if the writer does not live."""
        try:
            backlog = stored.read(self._config.backlog, Backlog)
        except (OSError, stored.BadContent):
            return ()
        return backlog.rows if backlog.boot_id == boot_id() and process_alive(backlog.pid) else ()

    def _decide(
        self,
        each: _Entry,
        rows: tuple[OpenJobs, ...],
        found: Mapping[str, WorkerStatus],
        hands: Mapping[str, by_hand.ByHand],
        power: PowerStatus,
        now_s: float,
    ) -> list[float]:
        """Decide about one entry. Returns the times at which to decide again."""
        entry = each.entry
        each.roster.see(found, now_s)
        sharing = [status for status in found.values() if self._shares(entry, status.name)]
        backlog = _backlog(entry, rows, sharing, cpu_watts=self._cpu_watts)
        board = self._board(each, sharing, found, power, now_s)
        by_person = hands.get(entry.name)
        hand = None if by_person is None else Hand(by_person.count, now_s + by_person.left_s)
        decision = decide(entry, backlog, board, each.state, now_s=now_s, hand=hand)
        if decision.wanted != each.state.wanted or each.decision is None:
            each.steps.appendleft(ScaleStep(round(time.time(), 1), decision.wanted, decision.why))
            self._log(f"workers {entry.name}: {decision.why}")
        each.state, each.decision = decision.state, decision
        each.roster.resize(decision.wanted, found, now_s)
        self._request_starts(each, found, now_s)
        missing = len(each.roster.running(found)) < decision.wanted
        urgent = any(row.power is Power.ALWAYS and row.queued for row in backlog) and power.state is PowerState.LOW
        dues = [] if decision.look_s is None else [decision.look_s]
        if missing or urgent:
            dues.append(now_s + _SOON_S)
        elif any(row.power in ALLOWED[power.state] for row in backlog):  # nothing reports the crash of a worker
            dues.append(now_s + _WORKING_S)
        return dues

    def _shares(self, entry: WorkerEntry, worker: str) -> bool:
        """Return True for a worker of this entry, and for a worker of another entry that takes the same jobs."""
        other = entry_of(worker, self._config.planned(io=True))
        return other is not None and (other.name == entry.name or shared(entry, other))

    def _board(
        self,
        each: _Entry,
        sharing: list[WorkerStatus],
        found: Mapping[str, WorkerStatus],
        power: PowerStatus,
        now_s: float,
    ) -> Board:
        """Return the state of the board for the decision about one entry. `sharing` are the workers for its jobs."""
        names, failing = each.roster.names, each.roster.failing(now_s)
        running = [name for name in each.roster.running(found) if name not in failing]
        retiring = [status for status in sharing if self._is_of(each.entry, status.name) and status.name not in names]
        of_others = [status for status in sharing if not self._is_of(each.entry, status.name)]
        return Board(
            cores=left.cores(),
            fixed=self._count_fixed(each.entry, of_others, now_s),
            running=len(running),
            failing=len(failing),
            held=sum(status.state is WorkerState.HELD for status in sharing if status not in retiring),
            memory_left_bytes=left.memory_bytes(),
            watts_left=left.watts(
                power.readings,
                self._config.power,
                pause_percent=pause_percent(power, self._config.power.thresholds),
            ),
            core_watts=self._cpu_watts,
            power=power.state,
        )

    def _count_fixed(self, entry: WorkerEntry, of_others: list[WorkerStatus], now_s: float) -> int:
        """Count the workers of other entries for the same jobs.

        A worker that always runs counts even before it has started, unless it is failing.
        """
        listed = [process for other, process in self._fixed.values() if shared(entry, other)]
        unlisted = sum(status.name not in self._fixed for status in of_others)
        return unlisted + sum(not process.failing(now_s) for process in listed)

    def _is_of(self, entry: WorkerEntry, worker: str) -> bool:
        """Return True if `worker` is the name of a process of this scaled entry."""
        return worker.startswith(f"{entry.name}-") and entry_of(worker, (entry,)) is not None

    def _request_starts(self, each: _Entry, found: Mapping[str, WorkerStatus], now_s: float) -> None:
        """Request the start of the processes that are missing, and withdraw the requests for all others."""
        names = each.roster.names
        for path in self._layout.starts.iterdir():
            if self._is_of(each.entry, path.name) and path.name not in names:
                path.unlink(missing_ok=True)
        for name in each.roster.to_start(found, now_s):
            try:
                durable.replace_volatile(self._layout.starts / name, b"")
            except OSError as err:
                self._log(f"{self._layout.starts / name}: {err.strerror or err}")

    def _write(
        self, found: Mapping[str, WorkerStatus], hands: Mapping[str, by_hand.ByHand], now_s: float
    ) -> list[float]:
        """Write the decisions if they changed. Returns the times at which to write or try again."""
        entries = tuple(self._reported(each, found, hands, now_s) for each in self._entries)
        before = self._written.entries if self._written is not None else ()
        if entries == before:
            return []
        if tuple(map(_without_words, entries)) == tuple(map(_without_words, before)):
            words_s = self._written_s + _WORDS_S
            if now_s < words_s:
                return [words_s]
        status = ScalingStatus(boot_id(), round(time.time(), 1), entries)
        try:
            durable.replace_volatile(self._layout.scaling, msgspec.json.encode(status))
        except OSError as err:
            self._log(f"{self._layout.scaling}: {err.strerror or err}")
            return [now_s + _WORKING_S]
        self._written, self._written_s = status, now_s
        return []

    def _reported(
        self, each: _Entry, found: Mapping[str, WorkerStatus], hands: Mapping[str, by_hand.ByHand], now_s: float
    ) -> ScaledWorkers:
        """Return the report on one entry for `run/scaling/workers.json`."""
        decision, by_person = each.decision, hands.get(each.entry.name)
        return ScaledWorkers(
            each.entry.name,
            wanted=each.state.wanted,
            running=len(each.roster.running(found)),
            why="" if decision is None else decision.why,
            workers=each.roster.names,
            failing=each.roster.failing(now_s),
            until=None if by_person is None else round(time.time() + by_person.left_s),
            steps=tuple(each.steps),
        )


def _without_words(entry: ScaledWorkers) -> ScaledWorkers:
    return msgspec.structs.replace(entry, why="", until=None, steps=())


def _backlog(
    entry: WorkerEntry, rows: tuple[OpenJobs, ...], workers: list[WorkerStatus], *, cpu_watts: float
) -> list[KindBacklog]:
    """Return the rows of jobs that the workers of `entry` take, with the number of jobs that run."""
    running = [job.task for worker in workers for job in worker.running]
    found = list[KindBacklog]()
    for row in taken(entry, rows):
        # The status of a worker has no power class for a running job. If a kind has several classes, its running jobs
        # therefore count in its first row, as far as that row has jobs.
        runs = min(row.jobs, running.count(row.kind) - sum(each.running for each in found if each.kind == row.kind))
        found.append(
            KindBacklog(
                kind=row.kind,
                power=row.power,
                queued=row.jobs - runs,
                running=runs,
                seconds=row.seconds,
                peak_bytes=row.peak_bytes,
                watts=None if row.busy is None else row.busy * cpu_watts,
            )
        )
    return found
