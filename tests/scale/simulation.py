"""Simulates boards that take jobs from one broker, event by event; the same seed gives the same day."""

from __future__ import annotations

import heapq
import itertools
import math
from collections import Counter, deque
from collections.abc import Sequence
from typing import NamedTuple

from edge.model import PowerState
from edge.power.scaling.backlog import KindBacklog
from edge.power.scaling.board import Board
from tests.scale.rules import Rule
from tests.scale.trace import Arrival

#: How long a worker takes to start an interpreter and load Celery and the tasks.
START_S = 3.0


class Outcome(NamedTuple):
    """The outcome of a simulation."""

    waits_s: list[float]
    worker_s: float  # sum of the lifetimes of worker processes
    interrupted: int
    done: int


class _Worker:
    def __init__(self, board: _Board, now_s: float) -> None:
        self.board, self.born_s = board, now_s
        self.job: tuple[int, Arrival] | None = None  # (number of the run, job)
        self.ready = self.gone = self.retiring = False


class _Board:
    def __init__(self, rule: Rule, cores: int, turns: Sequence[tuple[float, bool]]) -> None:
        self.rule, self.cores, self.turns = rule, cores, turns
        self.workers: list[_Worker] = []
        self.good = True
        self.runs: Counter[str] = Counter()
        self.looks = 0  # ordinal of the last evaluation; it cancels timers that were set before


class Simulation:
    """A run over `jobs` until all have ended, or until `until_s`."""

    def __init__(
        self,
        jobs: Sequence[Arrival],
        rules: Sequence[Rule],
        *,
        cores: int = 4,
        supplies: Sequence[Sequence[tuple[float, bool]]] = (),
        broker_s: float = 0.0,
        until_s: float = math.inf,
        look_s: float = 1.0,
    ) -> None:
        """Prepare a run.

        Args:
            jobs: The jobs with their times of arrival.
            rules: One rule for each board.
            cores: The number of cores of each board.
            supplies: For each board, the times at which its power turns good or low. If empty, power is always good.
            broker_s: The time that the broker needs for a job.
            until_s: The time at which the simulation ends.
            look_s: The shortest time between two evaluations of the rules after events.
        """
        self._events: list[tuple[float, int, str, object]] = []
        self._number = itertools.count()
        self._queue: deque[Arrival] = deque()
        self._queued: Counter[str] = Counter()
        self._learned: dict[str, float] = {}
        self._idle: deque[_Worker] = deque()
        self._broker_s, self._broker_free_s, self._until_s = broker_s, 0.0, until_s
        self._boards = [_Board(rule, cores, supplies[index] if supplies else ()) for index, rule in enumerate(rules)]
        self._good, self._look_s, self._looked_s, self._look_is_due = len(self._boards), look_s, -look_s, False
        self._waits: list[float] = []
        self._worker_s, self._interrupted, self._done, self._now_s = 0.0, 0, 0, 0.0
        for job in jobs:
            self._at(job.at_s, "arrive", job)

    def run(self) -> Outcome:
        """Simulate, and return the outcome."""
        for board in self._boards:
            for at_s, good in board.turns:
                self._at(max(0.0, at_s), "turn", (board, good))
        while self._events and self._events[0][0] <= self._until_s:
            self._now_s, _, what, subject = heapq.heappop(self._events)
            getattr(self, f"_{what}")(subject)
        end_s = self._now_s if math.isinf(self._until_s) else self._until_s
        self._worker_s += sum(end_s - worker.born_s for board in self._boards for worker in board.workers)
        return Outcome(self._waits, self._worker_s, self._interrupted, self._done)

    def _at(self, at_s: float, what: str, subject: object) -> None:
        heapq.heappush(self._events, (at_s, next(self._number), what, subject))

    def _arrive(self, job: Arrival) -> None:
        self._queue.append(job)
        self._queued[job.kind] += 1
        self._serve()
        self._soon()

    def _serve(self) -> None:
        """Deliver jobs to idle workers, one after another."""
        for _ in range(len(self._idle)):
            if not self._queue:
                return
            worker = self._idle.popleft()
            if worker.gone or worker.job is not None:
                continue
            if not worker.board.good:
                self._idle.append(worker)
                continue
            job = self._queue.popleft()
            self._queued[job.kind] -= 1
            begins_s = self._broker_free_s = max(self._now_s, self._broker_free_s) + self._broker_s
            self._waits.append(begins_s - job.at_s)
            number = next(self._number)
            worker.job = (number, job)
            worker.board.runs[job.kind] += 1
            self._at(begins_s + job.seconds, "end", (worker, number))

    def _end(self, subject: tuple[_Worker, int]) -> None:
        worker, number = subject
        if worker.job is None or worker.job[0] != number:
            return  # the job was taken from this worker
        job = worker.job[1]
        worker.job = None
        worker.board.runs[job.kind] -= 1
        self._done += 1
        self._learned[job.kind] = 0.9 * self._learned.get(job.kind, job.seconds) + 0.1 * job.seconds
        if worker.retiring:
            self._remove(worker)
        else:
            self._idle.append(worker)
            self._serve()
        self._soon()

    def _turn(self, subject: tuple[_Board, bool]) -> None:
        board, good = subject
        self._good += good - board.good
        board.good = good
        self._serve()
        self._look(board)

    def _ready(self, worker: _Worker) -> None:
        if not worker.gone:
            worker.ready = True
            self._idle.append(worker)
            self._serve()

    def _soon(self) -> None:
        if not self._look_is_due:
            self._look_is_due = True
            self._at(max(self._now_s, self._looked_s + self._look_s), "look_at_all", None)

    def _look_at_all(self, _nothing: None) -> None:
        self._look_is_due, self._looked_s = False, self._now_s
        for board in self._boards:
            self._look(board)

    def _timer(self, subject: tuple[_Board, int]) -> None:
        board, number = subject
        if number == board.looks:
            self._look(board)

    def _look(self, board: _Board) -> None:
        board.looks += 1
        kinds = {kind for kind, count in self._queued.items() if count} | {k for k, n in board.runs.items() if n}
        share = self._good or 1
        rows = [
            KindBacklog(
                kind=kind,
                queued=-(-self._queued[kind] // share),
                running=board.runs[kind],
                seconds=self._learned.get(kind),
            )
            for kind in sorted(kinds)
        ]
        staying = [worker for worker in board.workers if not worker.retiring]
        power = PowerState.NORMAL if board.good else PowerState.LOW
        seen = Board(cores=board.cores, running=max(0, len(board.workers) - 1), power=power)
        wanted = board.rule.total(rows, seen, now_s=self._now_s)
        for _ in range(wanted - len(staying)):
            worker = _Worker(board, self._now_s)
            board.workers.append(worker)
            self._at(self._now_s + START_S, "ready", worker)
        # Our rule and Celery's remove idle workers first, and wait for the job of a busy one.
        for worker in sorted(staying, key=lambda each: each.job is not None)[: max(0, len(staying) - wanted)]:
            if worker.job is None or board.rule.interrupts:
                self._remove(worker)
            else:
                worker.retiring = True
        look_s = board.rule.look_s(now_s=self._now_s)
        if look_s is not None and (self._queue or any(board.runs.values()) or len(board.workers) > 1):
            self._at(look_s, "timer", (board, board.looks))

    def _remove(self, worker: _Worker) -> None:
        worker.gone = True
        worker.board.workers.remove(worker)
        self._worker_s += self._now_s - worker.born_s
        if worker.job is not None:  # the broker delivers its job again
            self._interrupted += 1
            job = worker.job[1]
            worker.job = None
            worker.board.runs[job.kind] -= 1
            self._queue.appendleft(job)
            self._queued[job.kind] += 1
