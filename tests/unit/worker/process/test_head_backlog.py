"""A node asks its head for the backlog while it works, and never while it is idle."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from edge.config import Config, load
from edge.core.errors import Unreachable
from edge.model import Backlog, OpenJobs, Power, WorkerState, WorkerStatus
from edge.worker.process import head_backlog as module
from edge.worker.process.head_backlog import HeadBacklogFile
from tests.running_worker import until

WORKERS = "[{name: extra, max: auto}, {name: main}, {name: second}]"
ROWS = (OpenJobs("nap", Power.NORMAL, 3, seconds=1.0),)


class Node:
    """A worker whose state and whose head a test plays."""

    def __init__(self, config: Config) -> None:
        self.path = config.layout.head_backlog
        self.asked, self.away = 0, False
        self.file = HeadBacklogFile(config, ask=self.ask)
        self.file.start()

    def ask(self) -> tuple[OpenJobs, ...]:
        self.asked += 1
        if self.away:
            raise Unreachable("cannot reach the gateway")
        return ROWS

    def is_(self, state: WorkerState) -> None:
        self.file.note(WorkerStatus("main", os.getpid(), "", state))

    def content(self) -> Backlog | None:
        try:
            return msgspec.json.decode(self.path.read_bytes(), type=Backlog)
        except OSError:
            return None

    def wait_for(self, *rows: OpenJobs) -> None:
        """Wait until the file has these rows. Fails after a deadline."""
        until(lambda: (content := self.content()) is not None and content.rows == rows, lambda: f"{self.content()}")


def loaded(folder: Path, name: str, workers: str = WORKERS) -> Config:
    node = "node: {head_url: 'http://127.0.0.1:1', token_file: token}\n"
    (folder / "edge.yaml").write_text(f"run: run\nworker: {{name: {name}}}\nworkers: {workers}\n{node}")
    return load(folder / "edge.yaml", {}).config


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Node]:
    monkeypatch.setattr(module, "EVERY_S", 0.01)
    played = Node(loaded(tmp_path, "main"))
    yield played
    played.file.stop()


def test_a_worker_that_works_asks_again_and_again_and_an_idle_one_takes_it_back(node: Node) -> None:
    node.is_(WorkerState.RUNNING)
    node.wait_for(*ROWS)
    assert (content := node.content()) is not None
    assert content.pid == os.getpid()
    until(lambda: node.asked > 3, "it asks again")
    node.is_(WorkerState.IDLE)
    node.wait_for()
    asked = node.asked
    assert not threading.Event().wait(0.1)
    assert node.asked == asked


def test_a_head_that_is_away_has_no_backlog(node: Node, caplog: pytest.LogCaptureFixture) -> None:
    """The error is logged once, and the next answer counts."""
    node.is_(WorkerState.HELD)
    node.wait_for(*ROWS)
    node.away = True
    node.wait_for()
    asked = node.asked
    until(lambda: node.asked > asked + 2, "it asks again")
    assert [record.message for record in caplog.records] == [
        "cannot get the head's backlog: cannot reach the gateway; no further workers are started until the head answers"
    ]
    node.away = False
    node.wait_for(*ROWS)


@pytest.mark.parametrize(
    ("name", "workers", "asks"),
    [
        ("main", WORKERS, True),
        ("second", WORKERS, False),
        ("extra-1", WORKERS, False),
        ("main", "[{name: main}]", False),  # nothing is scaled
        ("main", "[{name: extra, max: 2}]", False),  # nothing always runs
    ],
)
def test_the_first_worker_that_always_runs_asks(tmp_path: Path, name: str, workers: str, asks: bool) -> None:
    assert loaded(tmp_path, name, workers).asks_head is asks
