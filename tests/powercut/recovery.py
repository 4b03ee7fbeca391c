"""Measures the time from power-on until a board accepts a job and until the first job is done, by waiting jobs."""

from __future__ import annotations

import signal
import threading
import time
from http.client import HTTPException
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

from edge.config import GatewayConfig
from edge.model import JobState
from tests.powercut.audit import until_true
from tests.powercut.client import Http
from tests.powercut.stack import Board

_CHUNK = 1000
_LIMIT_S = 600.0
_AIM_S = 15.0


def recovery(folder: Path, waiting: list[int]) -> int:
    """Measure and print a table; return 1 if a board took longer than the aim to accept a job, else 0."""
    columns = ("jobs waiting", "mounted s", "accepting s", "broker s", "all parts s", "first job done s")
    table = Table(*columns, title="from power-on, after a power cut")
    slow = False
    for size in waiting:
        board = Board(folder / str(size))
        try:
            figures = _cut_and_boot(board, size)
        finally:
            board.off()
        slow |= figures[1] > _AIM_S
        table.add_row(f"{size:,}", *(f"{seconds:.1f}" for seconds in figures))
    Console(width=110).print(table)
    return int(slow)


def _cut_and_boot(board: Board, size: int) -> tuple[float, float, float, float, float]:
    board.volume.format()
    board.attach()
    board.configure()
    board.start()
    board.await_ready()
    board.cut(1)  # from the second boot on, a second worker runs as well
    board.attach()
    board.start()
    board.await_ready()
    board.signal("worker", signal.SIGSTOP)
    first = _hand_in(board, size)
    time.sleep(5.0)  # RabbitMQ writes its segments
    board.cut(2)

    board.attach()
    board.start()
    accepting: list[float] = []
    asking = threading.Thread(target=_ask, args=(board, accepting), daemon=True)
    asking.start()
    recovery = board.await_ready()
    asking.join(_LIMIT_S)
    results = board.results
    ids = first or [_submit(board)]
    assert until_true(lambda: any(results.has(job_id) for job_id in ids), _LIMIT_S), "no job was done"
    return recovery.mount_s, accepting[0], recovery.broker_s, recovery.ready_s, board.since_on_s


def _hand_in(board: Board, size: int) -> list[str]:
    """Submit `size` jobs, wait until the broker has the released ones, and return the ids of the first chunk."""
    client = Http(board.port)
    first: list[str] = []
    for begin in range(0, size, _CHUNK):
        lines = (msgspec.json.encode({"task": "echo", "args": [number]}) for number in range(begin, begin + _CHUNK))
        status, answer = client.ask(
            "POST", "/v1/jobs/batch", b"\n".join(lines), {"Content-Type": "application/x-ndjson"}
        )
        assert status == 200, answer
        first = first or [msgspec.json.decode(line)["id"] for line in answer.splitlines()]

    def queued() -> bool:
        counts = msgspec.json.decode(client.ask("GET", "/v1/status")[1]).get("jobs", {})
        # The rest waits in the ledger until it is released.
        return int(counts.get(JobState.QUEUED, 0)) >= min(size, GatewayConfig().release_window)

    assert until_true(queued, _LIMIT_S), "the broker does not get the jobs"
    return first


def _submit(board: Board) -> str:
    status, answer = Http(board.port).ask("POST", "/v1/jobs", b'{"task": "echo", "args": [0]}')
    assert status == 202, answer
    job_id: str = msgspec.json.decode(answer)["id"]
    return job_id


def _ask(board: Board, accepting: list[float]) -> None:
    """Submit one job as soon as the board accepts it, and append the seconds since power-on to `accepting`."""
    deadline = time.monotonic() + _LIMIT_S
    while not accepting and time.monotonic() < deadline:
        try:
            _submit(board)
            accepting.append(board.since_on_s)
        except (OSError, HTTPException, AssertionError):
            time.sleep(0.05)
