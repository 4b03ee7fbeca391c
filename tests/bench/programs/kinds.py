"""The appliance's kinds of job: as little work as a job can have, so that what is measured is the way around it."""

from __future__ import annotations

import os
import time

from edge.worker import task
from tests.bench.starts import START


@task
def echo(message_id: int, message: str) -> str:
    """Give the message back."""
    return f"{message_id}: {message}"


@task
def stamp(number: int) -> int:
    """Note in the file BENCH_STARTS when this body began."""
    now = START.pack(time.monotonic_ns())
    fd = os.open(os.environ["BENCH_STARTS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.write(fd, now)
    finally:
        os.close(fd)
    return number
