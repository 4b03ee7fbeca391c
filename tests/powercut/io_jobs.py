"""Holds the kinds of the rig's load that wait, many at once in a worker of threads; `jobs.expected` has their values.

They are in a separate module because a board with kinds of the pool io runs one more process.
"""

from __future__ import annotations

import time

from edge.worker import Job, task
from tests.powercut.jobs import child_value, note, stepped


@task(pool="io")
def poll(number: int, count: int, job: Job) -> list[int]:
    """A job that waits for a device a few times, and continues from its last reading after a cut."""
    return stepped(number, count, job)


@task(pool="io")
def io_child(number: int, parent: str, index: int, job: Job) -> str:
    """A job that another one spawned, for the worker of threads."""
    note(job)
    time.sleep(0.01)
    return child_value(number, parent, index)
