"""`python -m tests.scale.downs --count N`: retire workers N times under load, and check that no body is interrupted.

A real board (`edge up`) runs jobs of mixed length on workers that are started and retired by a count set by hand.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import msgspec

from edge.client import Client, Job
from edge.model import JobState, ScaledWorkers, ScalingStatus
from edge.power.workers import by_hand
from tests.integration.test_up_workers import Listed

KINDS = '''
import os
import time
from edge.worker import Job, task


@task
def nap(seconds: float, job: Job) -> int:
    """Sleep, and record the begin and the end of the body in a file."""
    fd = os.open(job.settings["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(fd, f"begin {job.id}\\n".encode())
    time.sleep(seconds)
    os.write(fd, f"end {job.id}\\n".encode())
    os.close(fd)
    return os.getpid()
'''
#: Settings of a board with two scaled workers, and no other one that competes with them for the cores.
WORKERS = """
workers:
  - {name: extra, max: 2, down_after_s: 10}
settings: {nap: {log: LOG}}
"""
_PATIENCE_S = 120.0
_OPEN = 40  # at least this many jobs are open


class ScaledBoard(Listed):
    """An `edge up` with scaled workers, and with bodies that record when they begin and end."""

    def __init__(self, root: Path, more: str, kinds: str = KINDS) -> None:
        self.bodies_log = root.parent / "bodies"
        super().__init__(root, more.replace("LOG", str(self.bodies_log)), kinds)

    def decided(self) -> ScaledWorkers:
        """Return the governor's last decision about the first scaled entry."""
        return msgspec.json.decode(self.layout.scaling.read_bytes(), type=ScalingStatus).entries[0]

    def bodies(self) -> Counter[str]:
        """Return how often each line is in the file of the bodies."""
        return Counter(self.bodies_log.read_text().splitlines()) if self.bodies_log.exists() else Counter()

    def scale(self, count: int) -> None:
        """Set the count by hand."""
        by_hand.put(self.layout.scale_by_hand, self.decided().name, count, for_s=3600.0)


def main() -> int:
    """Run and print; return 1 if a body was interrupted or a job lost, else 0."""
    parser = argparse.ArgumentParser(prog="python -m tests.scale.downs", description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=1000, help="how many workers retire (default 1000)")
    parser.add_argument("--seed", type=int, default=1, help="seed of the lengths of jobs and pauses")
    parser.add_argument("--minutes", type=float, default=600.0, help="stop after MINUTES")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="edge-downs-") as folder:
        board = ScaledBoard(Path(folder) / "state", WORKERS)
        try:
            with board.client() as client:
                return _retire(board, client, options)
        finally:
            board.background.stop()


def _retire(board: ScaledBoard, client: Client, options: argparse.Namespace) -> int:
    rng, jobs, downs, ends_s = random.Random(options.seed), list[Job](), 0, time.monotonic() + 60 * options.minutes
    while downs < options.count and time.monotonic() < ends_s:
        _feed(client, jobs, rng, board)
        board.scale(2)
        _until(lambda: len(_living(client)) == 2, lambda: f"two workers: {board.decided()}")
        time.sleep(rng.uniform(0.0, 0.3))
        board.scale(0)
        _until(lambda: not _living(client), lambda: f"none lives: {board.decided()}")
        downs += 2
        if downs % 20 == 0:
            sys.stdout.write(f"{downs} retired, {len(jobs)} jobs\n")
            sys.stdout.flush()
    board.scale(2)
    states = Counter(job.wait(_PATIENCE_S).state for job in jobs)
    bodies = board.bodies()
    begun = {job.id: bodies[f"begin {job.id}"] for job in jobs}
    interrupted = sum(count - bodies[f"end {job}"] for job, count in begun.items())
    again, lost = sum(count > 1 for count in begun.values()), len(jobs) - states[JobState.SUCCEEDED]
    sys.stdout.write(
        f"{downs} workers retired under load, seed {options.seed}: {len(jobs)} jobs, {interrupted} bodies interrupted, "
        f"{again} run again, {lost} lost\n"
    )
    return 1 if interrupted or again or lost else 0


def _feed(client: Client, jobs: list[Job], rng: random.Random, board: ScaledBoard) -> None:
    """Submit jobs until enough are open: short ones, of which workers take many at a time, and longer ones."""
    ended = sum(count for line, count in board.bodies().items() if line.startswith("end "))
    for _ in range(max(0, _OPEN - (len(jobs) - ended))):
        seconds = 0.0 if rng.random() < 0.5 else rng.uniform(0.01, 0.6)
        jobs.append(client.submit("nap", round(seconds, 3)))


def _living(client: Client) -> list[str]:
    return [worker.name for worker in client.status().workers if worker.name.startswith("extra-")]


def _until(done: Callable[[], bool], what: Callable[[], str]) -> None:
    """Wait for `done`; raise TimeoutError with the text of `what` if it takes too long."""
    ends_s = time.monotonic() + _PATIENCE_S
    while not done():
        if time.monotonic() > ends_s:
            raise TimeoutError(what())
        time.sleep(0.05)


if __name__ == "__main__":
    sys.exit(main())
