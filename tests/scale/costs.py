"""`python -m tests.scale.costs`: measure what scaling costs and gains on this machine, with a real `edge up`.

It measures the CPU time of broker and gateway for a job, and how long a burst takes with one worker, with two, and with
one and a scaled one.
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
    """Use this many seconds of CPU time."""
    ends_s = time.process_time() + seconds
    while time.process_time() < ends_s:
        pass
    return 0
'''
#: Name of a board -> its list of workers.
BOARDS = {
    "one worker": "[{name: main}]",
    "two workers": "[{name: main}, {name: second}]",
    "one and a scaled one": "[{name: main}, {name: extra, max: auto}]",
}


@contextmanager
def running(workers: str) -> Iterator[ScaledBoard]:
    """Run an `edge up` with these workers and the kind `burn`, which computes."""
    with tempfile.TemporaryDirectory(prefix="edge-costs-") as folder:
        board = ScaledBoard(Path(folder) / "state", f"workers: {workers}\n", BURN)
        try:
            yield board
        finally:
            board.background.stop()


def drained(board: ScaledBoard, jobs: int, seconds: float) -> float:
    """Submit `jobs` jobs, and return the seconds until the last result."""
    with board.client() as client:
        began_s = time.monotonic()
        submitted = client.submit_many([Submission("burn", [seconds]) for _ in range(jobs)])
        for job in submitted:
            job.wait(3600)
        return time.monotonic() - began_s


def cpu_s(board: ScaledBoard, program: str) -> float:
    """Return the CPU seconds used by the board's processes that have `program` in their command line."""
    return sum(_ticks(pid) for pid in _family(board.background.pid) if program in _command(pid)) / _TICK


def main() -> int:
    """Measure and print; return exit code 0."""
    parser = argparse.ArgumentParser(prog="python -m tests.scale.costs", description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=2000, help="number of jobs in the burst (default 2000)")
    parser.add_argument("--seconds", type=float, default=0.05, help="CPU time of each job (default 0.05)")
    options = parser.parse_args()
    took = dict[str, float]()
    for name, workers in BOARDS.items():
        with running(workers) as board:
            drained(board, 10, options.seconds)  # so that the board learns how long such a job runs
            before = {program: cpu_s(board, program) for program in ("beam.smp", "edge.gateway")}
            took[name] = drained(board, options.jobs, options.seconds)
            each = {program: (cpu_s(board, program) - was) / options.jobs * 1000 for program, was in before.items()}
            sys.stdout.write(
                f"{name}: {took[name]:.1f} s, CPU for a job: broker {each['beam.smp']:.2f} ms, "
                f"gateway {each['edge.gateway']:.2f} ms\n"
            )
            sys.stdout.flush()
            if "scaled" in name:
                sys.stdout.write("".join(f"  {step.why}\n" for step in reversed(board.decided().steps)))
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
