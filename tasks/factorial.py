"""The task `factorial`: a load that runs long, has a result of megabytes and can be interrupted at any point."""

from __future__ import annotations

import decimal
from hashlib import sha256
from typing import Annotated, Any, TypedDict

from msgspec import Meta

from edge.worker import Job, task

#: Number of factors in one batch. After each batch the body reports progress and makes a checkpoint.
_BATCH = 2048
_LEAF = 32

#: Exact arithmetic of any length in base ten. It multiplies by a number-theoretic transform. Printing needs no
#: conversion to base ten; for an `int` that takes quadratic time.
_EXACT = decimal.Context(
    prec=decimal.MAX_PREC, Emax=decimal.MAX_EMAX, Emin=decimal.MIN_EMIN, traps=[decimal.Inexact, decimal.Overflow]
)


class Digits(TypedDict):
    """The summary of a number that is too long to print."""

    n: int
    digits: int
    head: str
    tail: str
    sha256: str


@task
def factorial(n: Annotated[int, Meta(ge=0, le=5_000_000)], job: Job) -> Digits:
    """Work out n! exactly and write all its digits to a file.

    The value has the number of digits, the first and the last twenty digits, and the SHA-256 of all of them. All digits
    are in the file `N-factorial.txt`. Progress is saved every few seconds: after a power cut the job continues from the
    last checkpoint.
    """
    digits = str(_product(n, job))
    job.file(f"{n}-factorial.txt").write_text(digits)
    return Digits(
        n=n,
        digits=len(digits),
        head=digits[:20],
        tail=digits[-20:],
        sha256=sha256(digits.encode()).hexdigest(),
    )


def _product(n: int, job: Job) -> decimal.Decimal:
    """Return 1 * 2 * ... * n.

    Products of similar size are multiplied in pairs. The level of a part says how many times it was paired.
    """
    done, parts = _restored(n, job.restored)
    while done < n:
        upper = min(done + _BATCH, n)
        parts.append((0, _range_product(done + 1, upper)))
        while len(parts) > 1 and parts[-1][0] == parts[-2][0]:
            (level, second), (_, first) = parts.pop(), parts.pop()
            parts.append((level + 1, _EXACT.multiply(first, second)))
            job.check()
        done = upper
        job.progress(done, n)
        job.checkpoint(_state(n, done, parts))
    product = decimal.Decimal(1)
    for _, part in reversed(parts):
        product = _EXACT.multiply(product, part)
        job.check()
    return product


def _range_product(lower: int, upper: int) -> decimal.Decimal:
    if upper - lower < _LEAF:
        product = 1
        for factor in range(lower, upper + 1):
            product *= factor
        return decimal.Decimal(product)
    middle = (lower + upper) // 2
    return _EXACT.multiply(_range_product(lower, middle), _range_product(middle + 1, upper))


def _state(n: int, done: int, parts: list[tuple[int, decimal.Decimal]]) -> dict[str, Any]:
    return {"n": n, "done": done, "parts": [[level, part] for level, part in parts]}


def _restored(n: int, state: Any) -> tuple[int, list[tuple[int, decimal.Decimal]]]:
    """Return the progress of an earlier attempt, or no progress if the checkpoint belongs to another n."""
    if not isinstance(state, dict) or state.get("n") != n:
        return 0, []
    return int(state["done"]), [(int(level), decimal.Decimal(part)) for level, part in state["parts"]]
