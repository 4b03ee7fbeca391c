"""Tests of the script `systemd/edge-heal-broker`, with simulated programs that record their calls, or fail."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "systemd" / "edge-heal-broker"


def heal(
    folder: Path, fails: str = "", *, result: str = "exit-code", started: int = 1, up: int = 0
) -> tuple[int, list[str]]:
    """Run the script. Return its exit code, and the calls of systemctl.

    Args:
        folder: an empty folder.
        fails: name of a program that fails.
        result: how the broker's unit ended.
        started: when the broker was last started.
        up: when it was last ready.
    """
    (folder / "bin").mkdir()
    (folder / "store/mnesia").mkdir(parents=True)
    (folder / "store/mnesia/old").touch()
    (folder / "store/.erlang.cookie").write_text("A" * 20)
    shown = f"*=Result) echo {result};; *=Active*) echo {up};; *) echo {started};;"
    systemctl = f'case $1 in show) case $2 in {shown} esac;; *) echo "$1" >>{folder}/calls;; esac'
    bodies = {"systemctl": systemctl, "install": f"mkdir {folder}/store/mnesia"}
    for name in ("systemctl", "install", "chown", "sleep", fails):
        path = folder / "bin" / (name or "true")
        path.write_text(f"#!/bin/sh\n{'false' if name == fails else bodies.get(name, '')}\n")
        path.chmod(0o755)
    env = {"PATH": f"{folder}/bin:/usr/bin:/bin", "STORE": str(folder / "store")}
    done = subprocess.run(["sh", SCRIPT], env=env, capture_output=True, text=True, check=False, timeout=30)
    return done.returncode, (folder / "calls").read_text().splitlines()


def test_a_new_store_is_made_and_the_old_one_kept(tmp_path: Path) -> None:
    """The store is replaced between a stop and a start of the broker."""
    assert heal(tmp_path) == (0, ["stop", "reset-failed", "start"])
    assert (tmp_path / "store/mnesia.set-aside-1/old").exists()
    assert [path.name for path in (tmp_path / "store/mnesia").iterdir()] == ["edge-settled"]


@pytest.mark.parametrize("program", ["mv", "install", "sync"])
def test_the_broker_is_started_again_whatever_fails(tmp_path: Path, program: str) -> None:
    """Programs fail if the card is full or has become read-only."""
    code, calls = heal(tmp_path, program)
    assert code != 0
    assert calls == ["stop", "reset-failed", "start"]


def test_a_stop_that_took_too_long_leaves_the_store(tmp_path: Path) -> None:
    """The broker was ready after its last start. So somebody stopped it on purpose, and it stays stopped."""
    assert heal(tmp_path, result="timeout", started=100, up=200) == (0, ["reset-failed", "stop"])
    assert (tmp_path / "store/mnesia/old").exists()


def test_a_start_that_took_too_long_is_healed(tmp_path: Path) -> None:
    """The broker was never ready after its last start. With a broken store it may hang instead of ending."""
    assert heal(tmp_path, result="timeout", started=300, up=200)[1][0] == "stop"
