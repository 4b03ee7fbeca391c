"""Random reports of the governor over a full window: nothing starts against power, and each job runs only once.

`EDGE_WINDOW_SEQUENCES` is the number of sequences (1,000 in `make windows`). `EDGE_WINDOW_SEED` is the part of the seed
that all sequences share: the seed of sequence N, counted from 0, is the text "EDGE_WINDOW_SEED/N".
"""

from __future__ import annotations

import os
import random
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from edge.config import load
from edge.model import ALLOWED, PowerState
from edge.results.store import Results
from edge.worker.attempt.attempt import Attempt
from edge.worker.intake.pace import MANY
from tests.unit.worker.played_worker import QUEUES, Board

SEQUENCES = int(os.environ.get("EDGE_WINDOW_SEQUENCES", "40"))
SEED = int(os.environ.get("EDGE_WINDOW_SEED", "20261128"))
_STATES = (PowerState.SURPLUS, PowerState.NORMAL, PowerState.LOW, PowerState.UNKNOWN, PowerState.PAUSED)
#: Calls in which the governor may report while the worker handles a job.
_CALLS = ("has", "stage", "read-attempts", "write", "commit", "announce")


class Window:
    """A worker with a full window, and a governor that may report at any moment."""

    def __init__(self, folder: Path, rng: random.Random) -> None:
        (folder / "edge.yaml").write_text("root: state\nrun: run\n")
        self.rng = rng
        self.board = Board(load(folder / "edge.yaml", env={}).config, state=PowerState.SURPLUS)
        self.board.know("echo")
        self.late: list[str] = []  # jobs that began although the last report that the worker could know forbade it
        self._on_its_way: PowerState | None = None  # reported while a job was admitted
        self._begin = self.board.bodies.begin
        self.board.bodies.begin = self._watched  # type: ignore[method-assign]
        self.jobs: list[str] = []
        for queue in self._queues():
            for _ in range(6):  # after these short jobs the queue delivers its largest prefetch
                self._put(queue)
        self.board.turns()
        self.full: Counter[str] = Counter()
        for queue in self._queues():
            for _ in range(rng.randint(MANY, MANY + 40)):
                self._put(queue)
        self.board.broker.read()
        self.full.update(queue for queue, _ in self.board.broker.unacked.values())

    def _queues(self) -> list[str]:
        return sorted(QUEUES)

    def _put(self, queue: str) -> None:
        self.jobs.append(f"job-{len(self.jobs)}")
        self.board.broker.put(self.jobs[-1], queue)

    def _watched(self, attempt: Attempt, power: Any) -> None:
        reported = self.board.power.next_status.state
        if QUEUES[attempt.delivery.queue] not in ALLOWED[reported] and reported is not self._on_its_way:
            self.late.append(f"{attempt.id} of {attempt.delivery.queue} at {reported}")
        self._on_its_way = None
        self._begin(attempt, power)

    def _report(self, *, on_its_way: bool = False) -> None:
        state = self.rng.choice(_STATES)
        self._on_its_way = state if on_its_way else None
        self.board.power.report(state)

    def happen(self) -> None:
        """Let one random event happen."""
        board, rng = self.board, self.rng
        match rng.choice(("turn", "turn", "report", "body", "call", "close", "long body", "timer", "lost")):
            case "turn":
                for _ in range(rng.randint(1, 3)):
                    board.turn()
            case "report":
                self._report()
            case "body" if left := [job for job in self.jobs if job not in board.bodies.began]:
                board.bodies.meanwhile[rng.choice(left[:40])] = self._report
            case "call":
                board.disk.meanwhile[rng.choice(_CALLS)] = lambda: self._report(on_its_way=True)
            case "close":
                board.broker.meanwhile = self._report
            case "long body" if left := [job for job in self.jobs if job not in board.bodies.began]:
                board.bodies.meanwhile[rng.choice(left[:40])] = board.intake.commit_and_give_back
            case "timer" if board.timers:
                board.pass_time()
            case "lost" if rng.random() < 0.2:
                board.disconnect()
                board.connect()

    def end(self) -> None:
        """Report good power from now on."""
        board = self.board
        board.disk.meanwhile.clear()
        board.bodies.meanwhile.clear()
        board.broker.meanwhile = None
        self._on_its_way = None
        board.power.report(PowerState.SURPLUS)
        board.turns(2000)


@pytest.mark.timeout(300 + 5 * SEQUENCES)
def test_random_power_over_a_full_window() -> None:
    """Each job begins once, is acknowledged once and has its result. No return to the queue counts as an attempt."""
    given_back = 0
    for number in range(SEQUENCES):
        rng = random.Random(f"{SEED}/{number}")
        with tempfile.TemporaryDirectory(prefix="edge-window-") as folder:
            window = Window(Path(folder), rng)
            assert set(window.full.values()) == {MANY}, window.full
            for _ in range(rng.randint(5, 40)):
                window.happen()
            window.end()
            board, name = window.board, f"sequence {SEED}/{number}"
            assert not board.flow.blocked, f"{name}: this machine's disk is full"
            assert (board.bodies.wrong, window.late, board.early_acks) == ([], [], []), name
            assert Counter(board.bodies.began) == Counter(window.jobs), name
            assert Counter(board.broker.acked) == Counter(window.jobs), name
            results = Results(board.config.layout)
            attempts = {(result.attempts if (result := results.read(job)) else None) for job in window.jobs}
            assert attempts == {1}, name
            given_back += len(board.broker.back)
    assert given_back > SEQUENCES, "too few messages went back to their queue"
