"""Applies the real rule that scales workers to the backlog of the simulated board."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from edge.config.workers import WorkerEntry
from edge.model import ALLOWED, Power, PowerState
from edge.power.scaling.backlog import KindBacklog
from edge.power.scaling.board import Board
from edge.power.scaling.decide import decide
from edge.power.scaling.state import ScaleState
from tests.sun.arrivals import Arrival
from tests.sun.simulation import Body

_STATES = {frozenset(may): state for state, may in ALLOWED.items() if may}


class Scaled:
    """One worker that always runs, and additional ones as with `workers: [{name: extra, max: auto}]`."""

    def __init__(self, cores: int) -> None:
        self._cores, self._entry, self._state = cores, WorkerEntry("extra", max="auto"), ScaleState()

    def count(self, waiting: Sequence[Arrival], running: Sequence[Body], may: frozenset[Power], minute: int) -> int:
        queued = Counter((job.kind.name, job.kind.power, job.kind.minutes) for job in waiting)
        begun = Counter((body.job.kind.name, body.job.kind.power, body.job.kind.minutes) for body in running)
        rows = [
            KindBacklog(
                kind=key[0], power=key[1], queued=queued[key], running=begun[key], seconds=key[2] * 60, watts=1.0
            )
            for key in queued | begun
        ]
        board = Board(
            cores=self._cores, running=self._state.wanted, power=_STATES.get(may, PowerState.NORMAL), watts_left=None
        )
        decision = decide(self._entry, rows, board, self._state, now_s=minute * 60.0)
        self._state = decision.state
        return min(self._cores, 1 + decision.wanted)
