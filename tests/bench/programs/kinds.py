"""Holds the appliance's kinds of job for the bench; they do almost nothing, so only their handling is measured."""

from __future__ import annotations

import os
import time

from edge.worker import task
from tests.bench.starts import START


@task
def echo(message_id: int, message: str) -> str:
    """Return the message."""
    return f"{message_id}: {message}"


@task
def stamp(number: int) -> int:
    """Append the time at which this body began to the file BENCH_STARTS."""
    now = START.pack(time.monotonic_ns())
    fd = os.open(os.environ["BENCH_STARTS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.write(fd, now)
    finally:
        os.close(fd)
    return number
