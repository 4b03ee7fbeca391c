"""Pools: the two ways in which a worker runs bodies. Each kind of job belongs to one of them."""

from __future__ import annotations

from enum import StrEnum


class Pool(StrEnum):
    """Where the bodies of a kind of job run."""

    MAIN = "main"  # alone, in the main thread of a worker: bodies that compute
    IO = "io"  # together with many others, each in a thread: bodies that wait for networks and disks


class WorkerPool(StrEnum):
    """How a worker runs bodies."""

    MAIN = "main"  # one at a time, in its main thread
    THREADS = "threads"  # many at once, each in a thread

    @property
    def takes(self) -> Pool:
        """The pool of the kinds of job that such a worker takes."""
        return Pool.IO if self is WorkerPool.THREADS else Pool.MAIN
