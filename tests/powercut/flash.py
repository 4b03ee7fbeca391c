"""Measures what a job makes a card write, by component: each has its own file system on a disk that counts flushes.

The ways to submit are:

- `lone`: one job after another, and each result is awaited.
- `burst`: eight submitters at once.
- `stream`: one connection that does not wait for results.
- `batch`: one request.
- `sparse`: lone jobs 6 s apart, so that no two share the journal commit that ext4 makes every 5 s for file times.

After each way the file systems are synced, and the writes of that sync count.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import msgspec
from rich.console import Console

from tests.powercut.audit import until_true
from tests.powercut.client import Http
from tests.powercut.flash_rows import IDLE_S, Figures, Row, Spent, row, tables
from tests.powercut.stack import Board
from tests.powercut.volume import Volume

_CALM_S = 200.0  # RabbitMQ compacts its tables 3 min after the last declare
_SPARSE_S = 6.0
_SUBMITTERS = 8


class Loads(msgspec.Struct, frozen=True, kw_only=True):
    """How many jobs each way gets; the warm-up creates the folders of results and lets the ledger's log grow."""

    warm_batch: int
    warm_stream: int
    settle_s: float  # wait this long, so that late writes of the start do not count for a job
    lone: int
    burst: int
    stream: int
    batch: int
    sparse: int
    idle: bool


FULL = Loads(
    warm_batch=1500, warm_stream=1500, settle_s=10.0, lone=200, burst=200, stream=200, batch=1000, sparse=10, idle=True
)
QUICK = Loads(
    warm_batch=600, warm_stream=200, settle_s=3.0, lone=40, burst=80, stream=100, batch=400, sparse=3, idle=False
)


Load = Callable[[Http, Board, int], None]


def flash(folder: Path, *, quick: bool = False, json: Path | None = None) -> int:
    """Measure, print the tables, and write the figures to `json`; return exit code 0."""
    apart = measure(folder / "apart", QUICK if quick else FULL, parts=("broker", "results"))
    together = [] if quick else measure(folder / "together", msgspec.structs.replace(FULL, idle=False), parts=())
    figures = Figures(apart, together)
    if json is not None:
        json.write_bytes(msgspec.json.format(msgspec.json.encode(figures), indent=1) + b"\n")
    console = Console(width=120)
    for table in tables(figures):
        console.print(table)
    return 0


def measure(folder: Path, loads: Loads, *, parts: Sequence[str]) -> list[Row]:
    """Measure each way, and return one row for each.

    Args:
        folder: Where the board is made.
        loads: How many jobs each way gets.
        parts: Folders of the state root that get a separate file system. The file system of the state root itself is
            named `ledger` if there are such parts, else `card`.
    """
    board = Board(folder / "board")
    volumes = {"ledger" if parts else "card": board.volume}
    volumes |= {name: Volume(folder / name, mount=board.root / name) for name in parts}
    for volume in volumes.values():
        volume.format()
    ways: tuple[tuple[str, int, Load], ...] = (
        ("lone", loads.lone, _lone),
        ("burst", loads.burst, _burst),
        ("stream", loads.stream, _stream),
        ("batch", loads.batch, _batch),
        ("sparse", loads.sparse, _sparse),
    )
    try:
        with _running(board, volumes, loads):
            client = Http(board.port)
            rows = []
            for name, count, load in ways:
                spent = _spent(volumes, lambda load=load, count=count: load(client, board, count))  # type: ignore[misc]
                rows.append(row(name, count, spent))
            if loads.idle:
                time.sleep(_CALM_S)
                rows.append(row("idle", 1, _spent(volumes, lambda: time.sleep(IDLE_S))))
            return rows
    finally:
        board.off()


@contextmanager
def _running(board: Board, volumes: dict[str, Volume], loads: Loads) -> Iterator[None]:
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
        _batch(Http(board.port), board, loads.warm_batch)
        _stream(Http(board.port), board, loads.warm_stream)
        time.sleep(loads.settle_s)
        yield
    finally:
        board.halt()
        for volume in others:
            volume.detach()


def _spent(volumes: dict[str, Volume], work: Callable[[], None]) -> dict[str, Spent]:
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


# ---- the loads ----


def _submit(client: Http, number: int) -> str:
    status, answer = client.ask("POST", "/v1/jobs", msgspec.json.encode({"task": "echo", "args": [number]}))
    assert status == 202, answer
    job_id: str = msgspec.json.decode(answer)["id"]
    return job_id


def _await(board: Board, ids: list[str]) -> None:
    results = board.results
    assert until_true(lambda: all(results.has(job_id) for job_id in reversed(ids)), 300.0), "jobs without a result"


def _lone(client: Http, board: Board, count: int) -> None:
    for number in range(count):
        status, _ = client.ask("GET", f"/v1/jobs/{_submit(client, number)}/result?wait=30")
        assert status == 200
    del board


def _burst(client: Http, board: Board, count: int) -> None:
    share = count // _SUBMITTERS

    def submit(first: int) -> list[str]:
        own = Http(board.port)
        try:
            return [_submit(own, number) for number in range(first, first + share)]
        finally:
            own.close()

    with ThreadPoolExecutor(_SUBMITTERS) as pool:
        _await(board, [job_id for ids in pool.map(submit, range(0, share * _SUBMITTERS, share)) for job_id in ids])
    del client


def _stream(client: Http, board: Board, count: int) -> None:
    _await(board, [_submit(client, number) for number in range(count)])


def _batch(client: Http, board: Board, count: int) -> None:
    body = b"\n".join(msgspec.json.encode({"task": "echo", "args": [number]}) for number in range(count))
    status, answer = client.ask("POST", "/v1/jobs/batch", body, {"Content-Type": "application/x-ndjson"})
    assert status == 200
    _await(board, [msgspec.json.decode(line)["id"] for line in answer.splitlines()])


def _sparse(client: Http, board: Board, count: int) -> None:
    for _ in range(count):
        _lone(client, board, 1)
        time.sleep(_SPARSE_S)  # the journal commit after the last job counts as well
