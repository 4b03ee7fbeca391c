"""`python -m tests.scale.costs`: what scaling costs and gains on this machine, on a real board.

CPU time of broker and gateway for a job, CPU time and delay of a worker's start, and how long a burst takes on one
worker, on a fixed count, and on a scaled one.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edge.model import Submission
from tests.scale.downs import ScaledBoard

_TICK = os.sysconf("SC_CLK_TCK")
BURN = '''
import time
from edge.worker import task


@task
def burn(seconds: float) -> int:
    """Use so much CPU time."""
    ends_s = time.process_time() + seconds
    while time.process_time() < ends_s:
        pass
    return 0
'''
#: A board by the list of its workers.
BOARDS = {
    "one worker": "[{name: main}]",
    "two workers": "[{name: main}, {name: second}]",
    "one and a scaled one": "[{name: main}, {name: extra, max: auto}]",
}


@contextmanager
def running(workers: str) -> Iterator[ScaledBoard]:
    """An `edge up` with these workers and the kind that computes."""
    with tempfile.TemporaryDirectory(prefix="edge-costs-") as folder:
        board = ScaledBoard(Path(folder) / "state", f"workers: {workers}\n", BURN)
        try:
            yield board
        finally:
            board.background.stop()


def drained(board: ScaledBoard, jobs: int, seconds: float) -> float:
    """Seconds from the submission of so many jobs to the last result."""
    with board.client() as client:
        began_s = time.monotonic()
        handed = client.submit_many([Submission("burn", [seconds]) for _ in range(jobs)])
        for job in handed:
            job.wait(3600)
        return time.monotonic() - began_s


def cpu_s(board: ScaledBoard, word: str) -> float:
    """CPU time that the processes of the board have used whose command has this word."""
    return sum(_ticks(pid) for pid in _family(board.background.pid) if word in _command(pid)) / _TICK


def main() -> int:
    """Measure and tell."""
    parser = argparse.ArgumentParser(prog="python -m tests.scale.costs", description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=2000, help="of the burst (default 2000)")
    parser.add_argument("--seconds", type=float, default=0.05, help="CPU time of each (default 0.05)")
    options = parser.parse_args()
    took = dict[str, float]()
    for name, workers in BOARDS.items():
        with running(workers) as board:
            drained(board, 10, options.seconds)  # it is learned what such a job takes
            before = {word: cpu_s(board, word) for word in ("beam.smp", "edge.gateway")}
            took[name] = drained(board, options.jobs, options.seconds)
            each = {word: (cpu_s(board, word) - was) / options.jobs * 1000 for word, was in before.items()}
            sys.stdout.write(
                f"{name}: {took[name]:.1f} s, CPU for a job: broker {each['beam.smp']:.2f} ms, "
                f"gateway {each['edge.gateway']:.2f} ms\n"
            )
            sys.stdout.flush()
            if "scaled" in name:
                sys.stdout.write("".join(f"  {step.why}\n" for step in reversed(board.told().steps)))
    best = min(took["one worker"], took["two workers"])
    sys.stdout.write(f"scaled to the best fixed count: {took['one and a scaled one'] / best:.2f}\n")
    return 0


def _family(pid: int) -> list[int]:
    found, todo = list[int](), [pid]
    while todo:
        each = todo.pop()
        found.append(each)
        try:
            todo += [int(word) for word in Path(f"/proc/{each}/task/{each}/children").read_text().split()]
        except OSError:
            continue
    return found


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    except OSError:
        return ""


def _ticks(pid: int) -> int:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    except OSError:
        return 0
    return int(fields[11]) + int(fields[12])


if __name__ == "__main__":
    sys.exit(main())
