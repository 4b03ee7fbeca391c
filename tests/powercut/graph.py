"""Runs a graph of jobs through power cuts: each job must get one right result, and each edge be recorded once.

The command is `python -m tests.powercut --graph 1000 --cuts 50 --seed S`. Each job waits for up to three others and
adds their values; some also wait for a time. The seed fixes the graph, when each cut comes and what it keeps.
"""

from __future__ import annotations

import random
import sqlite3
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import msgspec

from edge.model import JobState
from tests.powercut.audit import until_true
from tests.powercut.campaign import BIRTH_S
from tests.powercut.client import Http
from tests.powercut.stack import Board, NotReady

_BACK = 30  # a job waits only for jobs among the 30 before it in the batch
_MODULUS = 1_000_003
_LIMIT_S = 600.0


class Node(msgspec.Struct, frozen=True):
    """One job of the graph."""

    number: int
    parents: tuple[int, ...]
    delay_s: float | None
    priority: int
    pause_s: float

    @property
    def line(self) -> bytes:
        """The line of this job in the batch."""
        line = {
            "task": "weigh",
            "args": [self.number, [{"$result": f"n{parent}"} for parent in self.parents], self.pause_s],
            "key": f"graph-{self.number}",
            "ref": f"n{self.number}",
            "priority": self.priority,
        }
        if self.delay_s is not None:
            line["delay_s"] = self.delay_s
        return msgspec.json.encode(line)


def made(count: int, rng: random.Random, *, pause_s: float) -> list[Node]:
    """Make a graph without cycles: each job waits only for some shortly before it."""
    nodes = list[Node]()
    for number in range(count):
        near = range(max(0, number - _BACK), number)
        parents = tuple(sorted(rng.sample(near, min(len(near), rng.choice((0, 1, 1, 2, 3))))))
        delay_s = round(rng.uniform(0.1, 60.0), 1) if rng.random() < 0.2 else None
        nodes.append(Node(number, parents, delay_s, rng.choice((5, 5, 5, 0, 9)), pause_s))
    return nodes


def values(nodes: Sequence[Node]) -> list[int]:
    """Return the value that each job must have."""
    found = list[int]()
    for node in nodes:
        found.append((node.number + sum(found[parent] for parent in node.parents)) % _MODULUS)
    return found


def graph(folder: Path, *, jobs: int, cuts: int, seed: int, pause_s: float | None = None) -> int:
    """Submit the graph, cut the power `cuts` times and check; return 1 if something is wrong, else 0.

    Each job sleeps `pause_s`. If that is None, the time is chosen so that jobs still wait at the last cut.
    """
    rng = random.Random(seed)
    nodes = made(jobs, rng, pause_s=round(20.0 * cuts / jobs, 3) if pause_s is None else pause_s)
    board = Board(folder, io=True)
    began = time.monotonic()
    try:
        ids = _hand_in(board, nodes)
        for number in range(1, cuts + 1):
            time.sleep(rng.uniform(0.0, 2.5))
            board.cut(rng.randrange(1 << 32))
            board.attach()
            board.start()
            board.await_ready()
            left = sum(not board.results.has(job_id) for job_id in ids)
            _say(f"cut {number:3}: {left} of {len(ids)} jobs have no result yet")
        faults = _drain(board, ids) + _wrong(board, nodes, ids)
    except NotReady as err:
        faults = [f"did not come up: {err}"]
    finally:
        bodies, begun = board.bodies()
        board.off()
    edges = sum(len(node.parents) for node in nodes)
    _say(
        f"seed {seed}: {jobs} jobs, {edges} edges, {cuts} cuts, {bodies} bodies of {begun} jobs,"
        f" {time.monotonic() - began:.0f} s: {len(faults)} wrong"
    )
    for fault in faults[:50]:
        _say(f"FAULT {fault}")
    return int(bool(faults))


def _hand_in(board: Board, nodes: Sequence[Node]) -> list[str]:
    """Start a board, wait until its broker store has settled, submit the graph, and return the ids of its jobs."""
    board.volume.format()
    board.attach()
    board.configure()
    board.start()
    board.await_ready()
    settled = board.root / "broker" / "store" / "settled"
    if not until_true(settled.exists, BIRTH_S):
        raise NotReady(f"the store did not settle in {BIRTH_S:g} s")
    client = Http(board.port)
    status, answer = client.ask(
        "POST",
        "/v1/jobs/batch",
        b"\n".join(node.line for node in nodes),
        {"Content-Type": "application/x-ndjson"},
    )
    assert status == 200, answer
    return [str(msgspec.json.decode(line)["id"]) for line in answer.splitlines()]


def _drain(board: Board, ids: Sequence[str]) -> list[str]:
    """Wait for all results, and until the ledger has closed their rows; return the faults."""
    until_true(lambda: all(board.results.has(job_id) for job_id in ids), _LIMIT_S)
    late = [
        f"job {number} ({job_id}) has no result" for number, job_id in enumerate(ids) if not board.results.has(job_id)
    ]
    until_true(lambda: not _rows(board, "SELECT 1 FROM job WHERE finished_at IS NULL LIMIT 1"), 30.0)
    return late


def _wrong(board: Board, nodes: Sequence[Node], ids: Sequence[str]) -> list[str]:
    """Return each difference between the graph and the results and edges that the board has."""
    faults = list[str]()
    for node, job_id, value in zip(nodes, ids, values(nodes), strict=True):
        result = board.results.read(job_id)
        if result is not None and (result.state is not JobState.SUCCEEDED or result.value != value):
            faults.append(
                f"job {node.number} ended as {result.state} with {result.value!r}, not {value}: {result.failure}"
            )
    place = {job_id: number for number, job_id in enumerate(ids)}
    found = [
        (place[child], place[parent], outcome)
        for child, parent, outcome in _rows(board, "SELECT child, parent, outcome FROM after WHERE n >= 0")
    ]
    wanted = [(node.number, parent, "succeeded") for node in nodes for parent in node.parents]
    if sorted(found) != sorted(wanted):
        odd = sorted(set(wanted) ^ set(found))[:5]
        faults.append(f"the ledger has {len(found)} edges, of {len(wanted)}; not as they are: {odd}")
    odd_rows = _rows(board, "SELECT id, state, task FROM job WHERE state <> 'succeeded'")
    if odd_rows:
        faults.append(f"the ledger has {len(odd_rows)} jobs that have not succeeded: {odd_rows[:5]}")
    return faults


def _rows(board: Board, sql: str) -> list[tuple[str, str, str]]:
    with closing(sqlite3.connect(f"file:{board.config.layout.ledger}?mode=ro", uri=True)) as db:
        return db.execute(sql).fetchall()


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
