"""Holds the kinds of job of the rig's load; the oracle can compute the value of each in advance."""

from __future__ import annotations

import os
import random
import time
from hashlib import file_digest, sha256
from typing import Any

from edge.model import spawned_job_id
from edge.worker import Job, task

#: The kinds of the children of a brood, in turns: one of the pool main, one of the pool io.
_CHILDREN = ("child", "io_child")


def note(job: Job) -> None:
    """Record that a body begins, in a file outside of the disk that is cut."""
    with open(os.environ["POWERCUT_RUNS"], "a", encoding="ascii") as file:  # noqa: PTH123 - one append, one line
        file.write(f"{job.id}\n")


@task
def echo(number: int, job: Job) -> dict[str, int]:
    """A job that ends at once."""
    note(job)
    return {"number": number, "square": number * number}


@task
def nap(number: int, seconds: float, job: Job) -> int:
    """A job that waits, like one that fetches a page."""
    note(job)
    time.sleep(seconds)
    return -number


@task(power="surplus")
def sunny(number: int, job: Job) -> str:
    """A job for surplus power."""
    note(job)
    return f"sunny {number}"


@task(retries=5)
def flaky(number: int, job: Job) -> int:
    """A job whose first attempt fails."""
    note(job)
    if job.attempt == 1:
        raise RuntimeError("the first attempt fails")
    return number + 1


def stepped(number: int, count: int, job: Job) -> list[int]:
    """Run `count` steps with a checkpoint after each; after a cut, continue from the last checkpoint."""
    note(job)
    save_often(job)
    done: list[int] = job.restored or []
    while len(done) < count:
        time.sleep(0.02)
        done.append(number + len(done))
        job.checkpoint(done)
    return done


@task
def steps(number: int, count: int, job: Job) -> list[int]:
    """A job that saves its progress, and continues from there after a cut."""
    return stepped(number, count, job)


@task
def weigh(number: int, before: list[int], pause: float, job: Job) -> int:
    """A job of a graph: adds what the jobs before it returned."""
    note(job)
    time.sleep(pause)
    return (number + sum(before)) % 1_000_003


@task
def files(number: int, count: int, job: Job) -> int:
    """A job whose result has files."""
    note(job)
    for index in range(count):
        job.file(f"part-{index}.bin").write_bytes(content(number, index))
    return count


@task
def weighed(number: int, size: int, job: Job) -> str:
    """A job that reads an input file."""
    note(job)
    with job.input("clip").open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def file_content(number: int, size: int) -> bytes:
    """Return the content of the input file; no two blocks of it are alike, so a misplaced block is noticed."""
    return random.Random(number).randbytes(size)


def digest_of_file(args: list[Any]) -> str:
    """Return the hash of the input file of a job with these arguments."""
    return sha256(file_content(*args)).hexdigest()


@task
def brood(number: int, count: int, pause_s: float, job: Job) -> int:
    """A job that spawns others, half of them with a key; a cut may come between any two spawns."""
    note(job)
    for index in range(count):
        job.spawn(_CHILDREN[index % 2], number, job.id, index, key=_child_key(index))
        time.sleep(pause_s)
    return count


@task
def child(number: int, parent: str, index: int, job: Job) -> str:
    """A job that another one spawned."""
    note(job)
    return child_value(number, parent, index)


def child_value(number: int, parent: str, index: int) -> str:
    """Return the value of the child with this index."""
    return f"{number}/{parent}/{index}"


def _child_key(index: int) -> str | None:
    """Return the key of a child; every other pair has none, and its id comes from the ordinal of the call."""
    return f"child {index}" if index & 2 else None


def child_id(parent: str, index: int) -> str:
    """Return the only id that the child with this index may have."""
    if key := _child_key(index):
        return spawned_job_id(parent, key=key)
    return spawned_job_id(parent, call=1 + sum(_child_key(before) is None for before in range(index)))


def children(parent: str, args: list[Any]) -> dict[str, tuple[str, list[Any]]]:
    """Return the children of a brood with these arguments, in order: id -> kind and arguments."""
    number, count, _ = args
    return {child_id(parent, index): (_CHILDREN[index % 2], [number, parent, index]) for index in range(count)}


def save_often(job: Job) -> None:
    """Write checkpoints often: the product first saves after 5 s, and cuts come faster here."""
    job._checkpoint._every_s = 0.1
    job._checkpoint._due = 0.0


def content(number: int, index: int) -> bytes:
    """Return the content of file `part-INDEX.bin` of job `number`: more than three blocks, so that it can be torn."""
    return f"{number}/{index};".encode() * 2000


def expected(kind: str, args: list[Any]) -> Any:
    """Return the value that a job of this kind with these arguments must have."""
    number = args[0]
    match kind:
        case "echo":
            return {"number": number, "square": number * number}
        case "nap":
            return -number
        case "sunny":
            return f"sunny {number}"
        case "flaky":
            return number + 1
        case "brood":
            return args[1]
        case "child" | "io_child":
            return child_value(*args)
        case "steps" | "poll":
            return [number + index for index in range(args[1])]
        case "files":
            return args[1]
        case "weighed":
            return digest_of_file(args)
    raise ValueError(kind)
