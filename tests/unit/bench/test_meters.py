"""Costs are charged to the right part, and the costs of an ended process are not lost."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tests.bench import meters

_BURN = "import time; until = time.process_time() + 0.1\nwhile time.process_time() < until: pass"
#: A parent with a marked child, an unmarked child, and a child that used CPU and has ended.
_PARENT = f"""
import subprocess, sys
wait = "import sys; sys.stdout.write('up\\\\n'); sys.stdout.flush(); sys.stdin.read()"
pipes = {{"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}}
marked = subprocess.Popen([sys.executable, "-c", wait, "marked-" + "part"], **pipes)
other = subprocess.Popen([sys.executable, "-c", wait], **pipes)
marked.stdout.readline(), other.stdout.readline()
subprocess.run([sys.executable, "-c", {_BURN!r}], check=True)
sys.stdout.write(f"{{marked.pid}} {{other.pid}}\\n")
sys.stdout.flush()
sys.stdin.read()
for each in (marked, other):
    each.communicate()
"""


@contextmanager
def parent() -> Iterator[tuple[int, int, int]]:
    """Yield the process ids of a parent, its marked child and its unmarked child."""
    argv = [sys.executable, "-c", _PARENT]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        marked, other = map(int, process.stdout.readline().split())
        yield process.pid, marked, other
        process.stdin.close()


def test_a_process_belongs_to_its_mark_or_to_its_parent() -> None:
    """The helper of a worker counts as the worker; a process without a marked ancestor counts as `other`."""
    with parent() as (pid, marked, _):
        parts = meters.pids_by_part(pid, {"marked-part": "worker"})
        costs = meters.cost_by_part(pid, {"marked-part": "worker"})
    assert parts == {"worker": [marked]}
    assert costs.keys() == {"other", "worker"}


def test_a_child_that_ended_is_charged_to_its_parent() -> None:
    """The CPU time of an ended child counts; otherwise a pool that replaces its processes would look too cheap."""
    with parent() as (pid, _, _):
        costs = meters.cost_by_part(pid, {"marked-part": "worker"})
        whole = meters.cost(pid)
    assert costs["other"].cpu_s >= 0.1
    assert whole.cpu_s >= costs["other"].cpu_s


def test_a_process_that_is_gone_costs_nothing() -> None:
    """A process that ended between two readings has no costs and raises no error."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    assert meters.cost(process.pid) == meters.Cost()
    assert meters.cost_by_part(process.pid, {}) == {}
    assert meters.pss_bytes(process.pid) == 0


def test_settled_ends_once_nothing_grows() -> None:
    """`settled` returns when the value stops growing, and after a time limit if it grows forever."""
    readings = iter([0.0, 0.5, 0.9, 0.905, 99.0])
    meters.settled(lambda: next(readings), every_s=0.0, at_most_s=60.0)
    assert next(readings) == 99.0
    growing = iter(range(10**9))
    meters.settled(lambda: float(next(growing)), every_s=0.0, at_most_s=0.01)
