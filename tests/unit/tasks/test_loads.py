"""Factorials and primes are right, even after interruptions."""

from __future__ import annotations

import math
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from edge.worker import Job
from tasks import factorial, primes
from tasks import factorial as factorial_task


class Cut(BaseException):
    """Stands for a power cut."""


def _cut_after(job: Job, saves: int) -> None:
    """Make the checkpoint with this number the last action of the job."""
    save = job._checkpoint.save
    left = [saves]

    def cut(state: Any, *, now: bool = False) -> bool:
        saved = save(state, now=now)
        left[0] -= 1
        if not left[0]:
            raise Cut
        return saved

    job._checkpoint.save = cut  # type: ignore[method-assign]


@pytest.mark.parametrize("n", [0, 1, 2, 31, 32, 33, 1000, 2048, 2049, 5000])
def test_factorial_is_exact(tmp_path: Path, n: int) -> None:
    """All digits are in the file, and the value is their summary."""
    value = factorial(n, job=Job.local(tmp_path))
    digits = (tmp_path / f"{n}-factorial.txt").read_text()
    head = str(math.factorial(n)) if n <= 1000 else None
    assert head is None or digits == head
    assert value == {
        "n": n,
        "digits": len(digits),
        "head": digits[:20],
        "tail": digits[-20:],
        "sha256": sha256(digits.encode()).hexdigest(),
    }


def test_a_large_factorial(tmp_path: Path) -> None:
    """150,000! has 711,273 digits, more than Python's int would print."""
    value = factorial(150_000, job=Job.local(tmp_path))
    assert (value["digits"], value["tail"]) == (711273, "0" * 20)
    assert value["head"] == str(math.factorial(150_000) // 10 ** (711273 - 20))


def test_a_factorial_goes_on_where_it_was(tmp_path: Path) -> None:
    """After a cut at any checkpoint the digits are the same."""
    whole = factorial(9000, job=Job.local(_folder(tmp_path, "whole")))
    for saves in (1, 2, 4):
        folder = _folder(tmp_path, str(saves))
        job = Job.local(folder)
        _cut_after(job, saves)
        with pytest.raises(Cut):
            factorial(9000, job=job)
        again = Job.local(folder, attempt=2)
        assert again.restored["done"] == 2048 * saves
        assert factorial(9000, job=again) == whole


def _folder(tmp_path: Path, name: str) -> Path:
    folder = tmp_path / name
    folder.mkdir()
    return folder


def test_a_checkpoint_of_another_job_is_not_used(tmp_path: Path) -> None:
    """A checkpoint for other arguments must not give a wrong result."""
    Job.local(tmp_path).checkpoint({"n": 7, "done": 5, "parts": [[0, "1"]]})
    assert factorial(5, job=Job.local(tmp_path))["head"] == "120"


@pytest.mark.parametrize(("n", "count"), [(0, 0), (1, 0), (2, 0), (3, 1), (4, 2), (100, 25), (10**6, 78498)])
def test_primes_are_counted(tmp_path: Path, n: int, count: int) -> None:
    """The primes below n are counted, without n itself."""
    assert primes(n, job=Job.local(tmp_path)) == count


def test_primes_go_on_where_they_were(tmp_path: Path) -> None:
    """After a cut at a checkpoint the count is the same."""
    job = Job.local(tmp_path)
    _cut_after(job, 2)
    with pytest.raises(Cut):
        primes(2_000_000, job=job)
    assert primes(2_000_000, job=Job.local(tmp_path, attempt=2)) == 148933


def test_the_tasks_are_callable_as_functions() -> None:
    """`from tasks import ...` gives callable functions."""
    assert factorial_task is factorial
