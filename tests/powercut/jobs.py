"""The kinds of job of the rig's load, each with a value that the oracle can foretell."""

from __future__ import annotations

import os
import random
import time
from hashlib import file_digest, sha256
from typing import Any

from edge.model import spawned_job_id
from edge.worker import Job, task

#: What a child of a brood is, by its place: of the pool main, or of the pool io.
_CHILDREN = ("child", "io_child")


def note(job: Job) -> None:
    """Tell the rig, outside of the disk that is cut, that a body begins."""
    with open(os.environ["POWERCUT_RUNS"], "a", encoding="ascii") as file:  # noqa: PTH123 - one append, one line
        file.write(f"{job.id}\n")


@task
def echo(number: int, job: Job) -> dict[str, int]:
    """A job of no time at all."""
    note(job)
    return {"number": number, "square": number * number}


@task
def nap(number: int, seconds: float, job: Job) -> int:
    """A job that waits, as one does that fetches a page."""
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
    """The steps of a job that saves each of them; it goes on from the last one after a cut."""
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
    """A job that saves its progress, and goes on from there after a cut."""
    return stepped(number, count, job)


@task
def weigh(number: int, before: list[int], pause: float, job: Job) -> int:
    """A job of a graph: adds what the jobs before it returned."""
    note(job)
    time.sleep(pause)
    return (number + sum(before)) % 1_000_003


@task
def files(number: int, count: int, job: Job) -> int:
    """A job that leaves files."""
    note(job)
    for index in range(count):
        job.file(f"part-{index}.bin").write_bytes(content(number, index))
    return count


@task
def weighed(number: int, size: int, job: Job) -> str:
    """A job that is given a file."""
    note(job)
    with job.input("clip").open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def file_content(number: int, size: int) -> bytes:
    """What the file of such a job holds: no two blocks are alike, so that none can stand for another."""
    return random.Random(number).randbytes(size)


def digest_of_file(args: list[Any]) -> str:
    """The hash of the file that comes with a job of these arguments."""
    return sha256(file_content(*args)).hexdigest()


@task
def brood(number: int, count: int, pause_s: float, job: Job) -> int:
    """A job that spawns others, half of them with a key; a cut may come between any two of them."""
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
    """The value of a child in this place."""
    return f"{number}/{parent}/{index}"


def _child_key(index: int) -> str | None:
    """Its key; every other pair has none, and its call's ordinal in place of it."""
    return f"child {index}" if index & 2 else None


def child_id(parent: str, index: int) -> str:
    """The one id of a child in this place."""
    if key := _child_key(index):
        return spawned_job_id(parent, key=key)
    return spawned_job_id(parent, call=1 + sum(_child_key(before) is None for before in range(index)))


def children(parent: str, args: list[Any]) -> dict[str, tuple[str, list[Any]]]:
    """What a brood with these arguments spawns, in order: id -> kind and arguments."""
    number, count, _ = args
    return {child_id(parent, index): (_CHILDREN[index % 2], [number, parent, index]) for index in range(count)}


def save_often(job: Job) -> None:
    """Let its checkpoints be written: the product saves after 5 s for the first time, and cuts come faster here."""
    job._checkpoint._every_s = 0.1
    job._checkpoint._due = 0.0


def content(number: int, index: int) -> bytes:
    """What the file `part-INDEX.bin` of job `number` holds: three blocks and a bit, so that it can be torn."""
    return f"{number}/{index};".encode() * 2000


def expected(kind: str, args: list[Any]) -> Any:
    """The value of a job of this kind with these arguments."""
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
