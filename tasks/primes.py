"""The task `primes`: a load that keeps the processor busy with little memory."""

from __future__ import annotations

from math import isqrt
from typing import Annotated

from msgspec import Meta

from edge.worker import Job, task

#: Numbers in one segment of the sieve. A segment fits into a small board's cache, and takes some milliseconds.
_SEGMENT = 1 << 19


@task
def primes(n: Annotated[int, Meta(ge=0, le=10**12)], job: Job) -> int:
    """Count the primes below n with a segmented sieve.

    Takes about a second per hundred million on a fast machine. Progress is kept: after a power cut the job continues
    where it was.
    """
    base = _small_primes(isqrt(max(n - 1, 0)))
    start, count = 0, 0
    restored = job.restored
    if isinstance(restored, dict) and restored.get("n") == n:
        start, count = int(restored["start"]), int(restored["count"])
    while start < n:
        stop = min(start + _SEGMENT, n)
        count += _count(start, stop, base)
        start = stop
        job.progress(start, n)
        job.checkpoint({"n": n, "start": start, "count": count})
    return count


def _count(start: int, stop: int, base: list[int]) -> int:
    """Return the number of primes in [start, stop)."""
    sieve = bytearray(b"\x01") * (stop - start)
    for number in range(start, min(2, stop)):
        sieve[number - start] = 0
    for prime in base:
        if prime * prime >= stop:
            break
        first = max(prime * prime, -(-start // prime) * prime) - start
        sieve[first::prime] = bytes(len(range(first, len(sieve), prime)))
    return sieve.count(1)


def _small_primes(limit: int) -> list[int]:
    sieve = bytearray(b"\x01") * (limit + 1)
    sieve[:2] = bytes(min(2, limit + 1))
    for number in range(2, isqrt(limit) + 1):
        if sieve[number]:
            sieve[number * number :: number] = bytes(len(range(number * number, limit + 1, number)))
    return [number for number, flag in enumerate(sieve) if flag]
