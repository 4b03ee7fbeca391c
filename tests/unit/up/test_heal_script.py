"""`systemd/edge-heal-broker`, with programs that tell what was asked of them, or fail."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "systemd" / "edge-heal-broker"


def heal(
    folder: Path, fails: str = "", *, result: str = "exit-code", started: int = 1, up: int = 0
) -> tuple[int, list[str]]:
    """Its exit code, and what it asked of systemd, where one program fails; how the broker ended, and when it began."""
    (folder / "bin").mkdir()
    (folder / "store/mnesia").mkdir(parents=True)
    (folder / "store/mnesia/old").touch()
    (folder / "store/.erlang.cookie").write_text("A" * 20)
    shown = f"*=Result) echo {result};; *=Active*) echo {up};; *) echo {started};;"
    systemctl = f'case $1 in show) case $2 in {shown} esac;; *) echo "$1" >>{folder}/said;; esac'
    bodies = {"systemctl": systemctl, "install": f"mkdir {folder}/store/mnesia"}
    for name in ("systemctl", "install", "chown", "sleep", fails):
        path = folder / "bin" / (name or "true")
        path.write_text(f"#!/bin/sh\n{'false' if name == fails else bodies.get(name, '')}\n")
        path.chmod(0o755)
    env = {"PATH": f"{folder}/bin:/usr/bin:/bin", "STORE": str(folder / "store")}
    done = subprocess.run(["sh", SCRIPT], env=env, capture_output=True, text=True, check=False, timeout=30)
    return done.returncode, (folder / "said").read_text().splitlines()


def test_a_new_store_is_made_and_the_old_one_kept(tmp_path: Path) -> None:
    """Between a stop and a start."""
    assert heal(tmp_path) == (0, ["stop", "reset-failed", "start"])
    assert (tmp_path / "store/mnesia.set-aside-1/old").exists()
    assert [path.name for path in (tmp_path / "store/mnesia").iterdir()] == ["edge-settled"]


@pytest.mark.parametrize("program", ["mv", "install", "sync"])
def test_the_broker_is_started_again_whatever_fails(tmp_path: Path, program: str) -> None:
    """A card that is full, or turned read-only."""
    code, said = heal(tmp_path, program)
    assert code != 0
    assert said == ["stop", "reset-failed", "start"]


def test_a_stop_that_took_too_long_leaves_the_store(tmp_path: Path) -> None:
    """The broker had been up since its last start: who stopped it wants it stopped."""
    assert heal(tmp_path, result="timeout", started=100, up=200) == (0, ["reset-failed", "stop"])
    assert (tmp_path / "store/mnesia/old").exists()


def test_a_start_that_took_too_long_is_healed(tmp_path: Path) -> None:
    """It never came up since: a store that is broken may hang instead of ending."""
    assert heal(tmp_path, result="timeout", started=300, up=200)[1][0] == "stop"
