"""Pools: the two ways in which a worker runs bodies, and which kinds of job belong to which."""

from __future__ import annotations

from enum import StrEnum


class Pool(StrEnum):
    """Where the bodies of a kind of job run."""

    MAIN = "main"  # alone, in the main thread of a worker: bodies that compute
    IO = "io"  # beside many others, in a thread each: bodies that wait for networks and disks


class WorkerPool(StrEnum):
    """How a worker runs bodies."""

    MAIN = "main"  # one at a time, in its main thread
    THREADS = "threads"  # many at once, in a thread each

    @property
    def takes(self) -> Pool:
        """The kinds of job that such a worker takes."""
        return Pool.IO if self is WorkerPool.THREADS else Pool.MAIN
