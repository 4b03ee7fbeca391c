"""A node sends the output of its programs to the head: bounded, not too often, and never in the way of the program."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.core.errors import Unreachable, WrongState
from edge.results.stream import Stream
from edge.worker.command import live
from edge.worker.command.live import LiveOutput
from tests.unit.worker.command.bench import Bench, needs_bubblewrap, sh, until

UNREAD_S = 600.0


class Head:
    """A head that a test can make refuse or lose what it gets."""

    def __init__(self) -> None:
        self.pieces: list[tuple[str, int, bytes]] = []
        self.pause_s = 1.0
        self.raises: Exception | None = None
        self.calls = 0

    def send(self, job_id: str, data: bytes, *, attempt: str, stream: str, offset: int) -> float:
        self.calls += 1
        if self.raises is not None:
            raise self.raises
        self.pieces.append((stream, offset, data))
        return self.pause_s

    def text(self, stream: str = "stdout") -> bytes:
        return b"".join(data for name, _, data in self.pieces if name == stream)


class Board:
    """A job on a node whose program prints what a test says."""

    def __init__(self, root: Path, head: Head) -> None:
        self.now = 100.0
        self.head = head
        self.live = LiveOutput(root, head.send, clock=lambda: self.now)
        self.streams = {name: Stream(root / "main" / "aa1" / name) for name in ("stdout", "stderr")}

    def print(self, data: bytes, stream: str = "stdout") -> None:
        self.streams[stream].feed(data)
        self.live.printed("aa1", "00000001")

    def wait(self, seconds: float) -> None:
        """Let time pass, and wake the thread as its timer would."""
        self.now += seconds
        with self.live._changed:
            self.live._changed.notify_all()


@pytest.fixture
def board(tmp_path: Path) -> Iterator[Board]:
    board = Board(tmp_path, Head())
    yield board
    board.live.ended("aa1")


def test_a_program_that_ends_soon_sends_nothing(board: Board) -> None:
    board.print(b"short")
    board.live.ended("aa1")
    board.wait(100.0)
    time.sleep(0.1)
    assert board.head.calls == 0


def test_all_that_is_printed_arrives_in_order(board: Board) -> None:
    board.print(b"one ")
    board.print(b"oops", "stderr")
    board.wait(1.0)
    until(lambda: len(board.head.pieces) == 2)
    board.print(b"two")
    board.wait(1.0)
    until(lambda: len(board.head.pieces) == 3)
    assert board.head.pieces == [("stdout", 0, b"one "), ("stderr", 0, b"oops"), ("stdout", 4, b"two")]


def test_the_head_says_how_often(board: Board) -> None:
    """While nobody reads, much less is sent; nothing is sent while the program prints nothing."""
    board.head.pause_s = UNREAD_S
    board.print(b"one")
    board.wait(1.0)
    until(lambda: board.head.calls == 1)
    board.print(b"two")
    board.wait(UNREAD_S - 1.0)
    time.sleep(0.1)
    assert board.head.calls == 1
    board.wait(1.0)
    until(lambda: board.head.text() == b"onetwo")
    board.wait(10 * UNREAD_S)
    time.sleep(0.1)
    assert board.head.calls == 2


def test_a_piece_has_a_limit_and_the_rest_follows(board: Board) -> None:
    board.print(bytes(live.PIECE_BYTES + 10))
    board.wait(1.0)
    until(lambda: board.head.calls == 1)
    board.wait(1.0)
    until(lambda: board.head.calls == 2)
    assert [len(data) for _, _, data in board.head.pieces] == [live.PIECE_BYTES, 10]


def test_a_head_that_is_away_is_asked_again_later(board: Board) -> None:
    board.head.raises = Unreachable("no route")
    board.print(b"one")
    board.wait(1.0)
    until(lambda: board.head.calls == 1)
    board.head.raises = None
    board.wait(live.AGAIN_S - 1.0)
    time.sleep(0.1)
    assert board.head.calls == 1
    board.wait(1.0)
    until(lambda: board.head.text() == b"one")


def test_a_head_that_refuses_is_not_asked_again(board: Board) -> None:
    board.head.raises = WrongState("the job has ended")
    board.print(b"one")
    board.wait(1.0)
    until(lambda: board.head.calls == 1)
    board.print(b"two")
    board.wait(1000.0)
    time.sleep(0.1)
    assert board.head.calls == 1


def test_the_end_waits_for_the_last_lines_if_somebody_reads(board: Board) -> None:
    board.print(b"one")
    board.wait(1.0)
    until(lambda: board.head.calls == 1)
    board.print(b"two")
    board.live.ended("aa1")
    assert board.head.text() == b"onetwo"


@needs_bubblewrap
def test_a_body_sends_what_its_program_prints(bench: Bench) -> None:
    """The run of a program tells of its output, and waits at its end only as long as allowed."""
    head = Head()
    bench.commands.live = LiveOutput(bench.config.layout.output, head.send)
    go = bench.checkpoint_folder / "go"
    script = "echo begun; cd $EDGE_CHECKPOINT; while [ ! -e go ]; do sleep 0.02; done; echo done >&2"
    thread = threading.Thread(target=bench.run, args=[sh(script)])
    thread.start()
    until(lambda: head.text() == b"begun\n")
    go.touch()
    thread.join(20)
    assert head.text("stderr") == b"done\n"
