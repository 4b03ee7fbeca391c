"""The kinds of job of the rig's load, each with a value that the oracle can foretell."""

from __future__ import annotations

import os
import time
from typing import Any

from edge.worker import Job, task


def _note(job: Job) -> None:
    """Tell the rig, outside of the disk that is cut, that a body begins."""
    with open(os.environ["POWERCUT_RUNS"], "a", encoding="ascii") as file:  # noqa: PTH123 - one append, one line
        file.write(f"{job.id}\n")


@task
def echo(number: int, job: Job) -> dict[str, int]:
    """A job of no time at all."""
    _note(job)
    return {"number": number, "square": number * number}


@task
def nap(number: int, seconds: float, job: Job) -> int:
    """A job that waits, as one does that fetches a page."""
    _note(job)
    time.sleep(seconds)
    return -number


@task(power="surplus")
def sunny(number: int, job: Job) -> str:
    """A job for surplus power."""
    _note(job)
    return f"sunny {number}"


@task(retries=5)
def flaky(number: int, job: Job) -> int:
    """A job whose first attempt fails."""
    _note(job)
    if job.attempt == 1:
        raise RuntimeError("the first attempt fails")
    return number + 1


@task
def steps(number: int, count: int, job: Job) -> list[int]:
    """A job that saves its progress, and goes on from there after a cut."""
    _note(job)
    # The product saves at most every 5 s; cuts come faster here.
    job._checkpoint._every_s = 0.1
    done: list[int] = job.restored or []
    while len(done) < count:
        time.sleep(0.02)
        done.append(number + len(done))
        job.checkpoint(done)
    return done


@task
def files(number: int, count: int, job: Job) -> int:
    """A job that leaves files."""
    _note(job)
    for index in range(count):
        job.file(f"part-{index}.bin").write_bytes(content(number, index))
    return count


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
        case "steps":
            return [number + index for index in range(args[1])]
        case "files":
            return args[1]
    raise ValueError(kind)
