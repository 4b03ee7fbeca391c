"""Tests of the script `systemd/edge-cure-broker`, with simulated df, sleep and systemctl that record their calls."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "systemd" / "edge-cure-broker"


class Board:
    """Makes the folders and programs for the script. The file `calls` records the programs that it ran, in order."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("complaints", "memory", "bin"):
            (folder / name).mkdir()
        self.room("99999 9")
        self._program("df", f"echo avail iavail; head -n 1 {folder}/room; sed -i '1{{$!d}}' {folder}/room")
        for name in ("sleep", "systemctl"):
            self._program(name, f'echo "{name} $*" >>{folder}/calls')

    def _program(self, name: str, body: str) -> None:
        path = self.folder / "bin" / name
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)

    def room(self, *answers: str) -> None:
        """Set the answers of `df`. The last answer is repeated."""
        (self.folder / "room").write_text("".join(f"{answer}\n" for answer in answers))

    def complain(self) -> None:
        """Write a restart request, as the gateway does."""
        (self.folder / "complaints" / "gateway").write_text("it refused a job\n")

    def run(self) -> list[str]:
        """Run the script, and return the calls that it made."""
        calls = self.folder / "calls"
        calls.write_text("")
        env = {
            "PATH": f"{self.folder}/bin:/usr/bin:/bin",
            "COMPLAINTS": str(self.folder / "complaints"),
            "RUNTIME_DIRECTORY": str(self.folder / "memory"),
            "STORE": str(self.folder),
            "ANSWER": str(self.folder / "answer"),
        }
        done = subprocess.run(["sh", SCRIPT], env=env, capture_output=True, text=True, check=False, timeout=30)
        assert (done.returncode, done.stderr) == (0, "")
        return calls.read_text().splitlines()


@pytest.fixture
def board(tmp_path: Path) -> Board:
    """A board with a restart request."""
    board = Board(tmp_path)
    board.complain()
    return board


RESTART = "systemctl restart rabbitmq-server.service"


def test_a_complaint_starts_the_broker_again_at_once(board: Board) -> None:
    """The request is also removed, or the path unit would start the script again and again."""
    assert board.run() == [RESTART]
    assert not list((board.folder / "complaints").iterdir())
    assert (board.folder / "answer").read_text().strip().isdigit()


def test_it_waits_for_room(board: Board) -> None:
    """The script waits until there are both bytes and inodes."""
    board.room("100 9", "99999 0", "99999 9")
    assert board.run() == ["sleep 15", "sleep 15", RESTART]


def test_the_next_one_waits_longer(board: Board) -> None:
    """If restarts do not help, the broker is not restarted every minute."""
    board.run()
    for least, most in ((10, 15), (50, 60), (290, 300), (890, 900), (3590, 3600), (3590, 3600)):
        board.complain()
        slept, restarted = board.run()
        assert least <= int(slept.removeprefix("sleep ")) <= most
        assert restarted == RESTART


def test_a_complaint_that_was_taken_back_does_nothing(board: Board) -> None:
    """The gateway withdraws its request if a queue has accepted a job meanwhile."""
    (board.folder / "complaints" / "gateway").unlink()
    assert board.run() == []
