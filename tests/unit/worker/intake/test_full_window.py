"""Random words of the governor over a full window: nothing starts against power, and what went back runs once.

`EDGE_WINDOW_SEQUENCES` says how many sequences (`make windows`: 1,000), `EDGE_WINDOW_SEED` from which seed.
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
#: Where the governor may speak while a worker is at work with a job that it has admitted, or has just begun to admit.
_CALLS = ("has", "stage", "read-attempts", "write", "commit", "announce")


class Window:
    """A worker with as many messages in hand as it takes, and a governor without manners."""

    def __init__(self, folder: Path, rng: random.Random) -> None:
        (folder / "edge.yaml").write_text("root: state\nrun: run\n")
        self.rng = rng
        self.board = Board(load(folder / "edge.yaml", env={}).config, state=PowerState.SURPLUS)
        self.board.know("echo")
        self.late: list[str] = []  # began although the last word, which it could have known, forbade it
        self._on_its_way: PowerState | None = None  # told while a job was being admitted
        self._begin = self.board.bodies.begin
        self.board.bodies.begin = self._watched  # type: ignore[method-assign]
        self.jobs: list[str] = []
        for queue in self._queues():
            for _ in range(6):  # their kinds are known to be short: from now on the queue hands out all it may
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
        told = self.board.power.next_status.state
        if QUEUES[attempt.delivery.queue] not in ALLOWED[told] and told is not self._on_its_way:
            self.late.append(f"{attempt.id} of {attempt.delivery.queue} at {told}")
        self._on_its_way = None
        self._begin(attempt, power)

    def _tell(self, *, on_its_way: bool = False) -> None:
        state = self.rng.choice(_STATES)
        self._on_its_way = state if on_its_way else None
        self.board.power.tell(state)

    def happen(self) -> None:
        """One thing."""
        board, rng = self.board, self.rng
        match rng.choice(("turn", "turn", "tell", "body", "call", "close", "lasts", "timer", "lost")):
            case "turn":
                for _ in range(rng.randint(1, 3)):
                    board.turn()
            case "tell":
                self._tell()
            case "body" if left := [job for job in self.jobs if job not in board.bodies.began]:
                board.bodies.meanwhile[rng.choice(left[:40])] = self._tell
            case "call":
                board.disk.meanwhile[rng.choice(_CALLS)] = lambda: self._tell(on_its_way=True)
            case "close":
                board.broker.meanwhile = self._tell
            case "lasts" if left := [job for job in self.jobs if job not in board.bodies.began]:
                board.bodies.meanwhile[rng.choice(left[:40])] = board.intake.tend
            case "timer" if board.timers:
                board.pass_time()
            case "lost" if rng.random() < 0.2:
                board.disconnect()
                board.connect()

    def end(self) -> None:
        """Power is good for good."""
        board = self.board
        board.disk.meanwhile.clear()
        board.bodies.meanwhile.clear()
        board.broker.meanwhile = None
        self._on_its_way = None
        board.power.tell(PowerState.SURPLUS)
        board.turns(2000)


@pytest.mark.timeout(300 + 5 * SEQUENCES)
def test_random_power_over_a_full_window() -> None:
    """Each job begins once, is acknowledged once, has its result, and no return to the queue counts as an attempt."""
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
    assert given_back > SEQUENCES, "windows went back"
