"""The compared rules: ours, the rule of the published package, and Celery's `--autoscale`.

Each decides how many workers a board should run in total. The two others are written from the behaviour of their
programs and contain no code of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

from edge.config.workers import WorkerEntry
from edge.power.scaling.backlog import KindBacklog
from edge.power.scaling.board import Board
from edge.power.scaling.decide import decide
from edge.power.scaling.state import ScaleState


class Rule(Protocol):
    """Decides how many workers a board has."""

    interrupts: bool  # True if it ends workers that run a job

    def total(self, rows: Sequence[KindBacklog], board: Board, *, now_s: float) -> int:
        """Return the number of workers that should run, including the fixed ones of `board`."""

    def look_s(self, *, now_s: float) -> float | None:
        """Return when the rule should run again without an event, or None if never."""


class Ours:
    """One fixed worker, and additional ones by the real rule."""

    interrupts = False

    def __init__(self, entry: WorkerEntry) -> None:
        self.entry = entry
        self.state = ScaleState()
        self.changes = 0
        self._look_s: float | None = None

    def total(self, rows: Sequence[KindBacklog], board: Board, *, now_s: float) -> int:
        decision = decide(self.entry, rows, board, self.state, now_s=now_s)
        self.changes += decision.wanted != self.state.wanted
        self.state, self._look_s = decision.state, decision.look_s
        return board.fixed + decision.wanted

    def look_s(self, *, now_s: float) -> float | None:
        del now_s
        return self._look_s


class Published:
    """The published package: each minute it adds what the queue needs; each third minute it falls to the minimum.

    It reads only the length of the queue. It does not know which workers are starting or which jobs run.
    """

    interrupts = True

    def __init__(self, *, up_at: int, down_at: int, rate_per_min: float, least: int, most: int) -> None:
        self._up_at, self._down_at, self._rate_per_min = up_at, down_at, rate_per_min
        self._least, self._most = least, most
        self._count = least
        self._minute = 0
        self.changes = 0

    def total(self, rows: Sequence[KindBacklog], board: Board, *, now_s: float) -> int:
        del board
        while self._minute < now_s // 60:  # once a minute, regardless of events in between
            self._minute += 1
            queued, before = sum(row.queued for row in rows), self._count
            if queued >= self._up_at:
                self._count = min(self._most, self._count + math.ceil(queued / self._rate_per_min))
            elif queued <= self._down_at and self._minute % 3 == 0:
                self._count = self._least
            self.changes += self._count != before
        return self._count

    def look_s(self, *, now_s: float) -> float | None:
        return (now_s // 60 + 1) * 60


class CeleryAutoscale:
    """Celery's `--autoscale=MOST,LEAST`: each second it sets the processes to the number of reserved requests.

    It reserves four requests for each process (`worker_prefetch_multiplier`). It removes idle processes once the last
    growth is 30 s ago.
    """

    interrupts = False
    KEEPALIVE_S = 30.0
    PREFETCH = 4

    def __init__(self, *, least: int, most: int) -> None:
        self._least, self._most = least, most
        self._count = least
        self._grown_s = -math.inf
        self._looked_s = -math.inf
        self.changes = 0

    def total(self, rows: Sequence[KindBacklog], board: Board, *, now_s: float) -> int:
        del board
        if now_s - self._looked_s < 1.0:
            return self._count
        self._looked_s = now_s
        before = self._count
        open_jobs = sum(row.jobs for row in rows)
        asked = max(self._least, min(self._most, open_jobs, self._count * self.PREFETCH))
        if asked > self._count:
            self._count, self._grown_s = asked, now_s
        elif asked < self._count and now_s - self._grown_s > self.KEEPALIVE_S:
            self._count = asked
        self.changes += self._count != before
        return self._count

    def look_s(self, *, now_s: float) -> float | None:
        return None if self._count == self._least else now_s + 1.0
