"""What a job costs the card, by component: each has a file system and a disk of its own, counting what is flushed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

from tests.powercut.campaign import until_true
from tests.powercut.client import Http
from tests.powercut.stack import Board
from tests.powercut.volume import Volume

_JOBS = 200
_WARM = 1500
_IDLE_S = 60.0
_CALM_S = 200.0  # RabbitMQ tidies its tables up 3 min after the last declare


class Spent(msgspec.Struct, frozen=True):
    """Of one component: bytes a card had to write, those of them in the journal, and flushes."""

    flushed_bytes: int
    journal_bytes: int
    flushes: int


def flash(folder: Path) -> int:
    """Measure and print; 0."""
    board = Board(folder / "board")
    parts = {"broker": board.root / "broker", "results": board.root / "results"}
    volumes = {"ledger": board.volume}
    volumes |= {name: Volume(folder / name, mount=path) for name, path in parts.items()}
    for volume in volumes.values():
        volume.format()
    table = Table(
        "what", *volumes, "KiB in all", "flushes", title="KiB a job that a card writes (of it in the journal)"
    )
    try:
        with _running(board, volumes):
            client = Http(board.port)
            for name, count, run in (
                ("one by one", _JOBS, _one_by_one),
                ("a stream of singles", _JOBS, _stream),
                ("one batch", _JOBS * 5, _batch),
            ):
                spent = _measure(volumes, lambda run=run, count=count: run(client, board, count))  # type: ignore[misc]
                _row(table, name, spent, count)
            time.sleep(_CALM_S)
            idle = _measure(volumes, lambda: time.sleep(_IDLE_S))
            _row(table, f"idle, {_IDLE_S:g} s", idle, 1)
    finally:
        board.off()
    Console(width=120).print(table)
    return 0


@contextmanager
def _running(board: Board, volumes: dict[str, Volume]) -> Iterator[None]:
    board.attach()
    board.configure()
    others = [volume for volume in volumes.values() if volume is not board.volume]
    try:
        for volume in others:
            volume.mount.mkdir()
            volume.attach()
        board.start()
        board.await_ready()
        for volume in volumes.values():
            volume.watch_journal()
        _batch(Http(board.port), board, _WARM)  # makes the folders of results, of which there are 256 at most
        _stream(Http(board.port), board, _WARM)  # and the ledger's log as long as it gets
        time.sleep(10.0)  # what a start leaves to be written is not a job's
        yield
    finally:
        board.halt()
        for volume in others:
            volume.detach()


def _measure(volumes: dict[str, Volume], work: Callable[[], None]) -> dict[str, Spent]:
    before = {name: _count(volume) for name, volume in volumes.items()}
    work()
    after = {name: _count(volume) for name, volume in volumes.items()}
    return {
        name: Spent(
            last.flushed_bytes - first.flushed_bytes,
            last.journal_bytes - first.journal_bytes,
            last.flushes - first.flushes,
        )
        for (name, first), last in zip(before.items(), after.values(), strict=True)
    }


def _count(volume: Volume) -> Spent:
    volume.sync()
    traffic = volume.disk.traffic()
    return Spent(traffic.flushed_bytes, traffic.journal_bytes, traffic.flushes)


def _row(table: Table, name: str, spent: dict[str, Spent], jobs: int) -> None:
    def kib(size_bytes: int) -> str:
        return f"{size_bytes / jobs / 1024:.1f}"

    cells = [f"{kib(each.flushed_bytes)} ({kib(each.journal_bytes)})" for each in spent.values()]
    total = sum(each.flushed_bytes for each in spent.values())
    flushes = sum(each.flushes for each in spent.values())
    table.add_row(name, *cells, kib(total), f"{flushes / jobs:.1f}")


# ---- the loads ----


def _submit(client: Http, number: int) -> str:
    status, answer = client.ask("POST", "/v1/jobs", msgspec.json.encode({"task": "echo", "args": [number]}))
    assert status == 202, answer
    job_id: str = msgspec.json.decode(answer)["id"]
    return job_id


def _await(board: Board, ids: list[str]) -> None:
    results = board.results
    assert until_true(lambda: all(results.has(job_id) for job_id in reversed(ids)), 300.0), "jobs without a result"


def _one_by_one(client: Http, board: Board, count: int) -> None:
    for number in range(count):
        status, _ = client.ask("GET", f"/v1/jobs/{_submit(client, number)}/result?wait=30")
        assert status == 200
    del board


def _stream(client: Http, board: Board, count: int) -> None:
    _await(board, [_submit(client, number) for number in range(count)])


def _batch(client: Http, board: Board, count: int) -> None:
    body = b"\n".join(msgspec.json.encode({"task": "echo", "args": [number]}) for number in range(count))
    status, answer = client.ask("POST", "/v1/jobs/batch", body, {"Content-Type": "application/x-ndjson"})
    assert status == 200
    _await(board, [msgspec.json.decode(line)["id"] for line in answer.splitlines()])
