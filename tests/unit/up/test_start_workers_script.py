"""Tests of the script `systemd/edge-start-workers`, with a simulated systemctl that records its calls."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "systemd" / "edge-start-workers"


def run(folder: Path, *names: str) -> list[str]:
    """Run the script with requests for these workers, and return its calls of systemctl."""
    requests, programs, calls = folder / "start", folder / "bin", folder / "calls"
    for each in (requests, programs):
        each.mkdir()
    for name in names:
        (requests / name).touch()
    calls.touch()
    (programs / "systemctl").write_text(f'#!/bin/sh\necho "$*" >>{calls}\nexit 1\n')
    (programs / "systemctl").chmod(0o755)
    env = {"PATH": f"{programs}:/usr/bin:/bin", "ASKED": str(requests)}
    done = subprocess.run(["sh", SCRIPT], env=env, capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 0, done.stderr
    assert not [path for path in requests.iterdir() if not path.name.startswith(".")]
    return calls.read_text().splitlines()


def test_it_starts_the_requested_workers_and_removes_the_requests(tmp_path: Path) -> None:
    """If systemd refuses one start, the script still tries the next one."""
    assert run(tmp_path, "extra-1", "sun-day_2-64") == [
        "--no-block start edge-worker@extra-1.service",
        "--no-block start edge-worker@sun-day_2-64.service",
    ]


def test_without_a_request_nothing_is_started(tmp_path: Path) -> None:
    assert run(tmp_path) == []


@pytest.mark.parametrize(
    "name",
    ["extra", "extra-0", "extra-01", "extra-100", "7", "-1", "extra-", "a b-1", "x;reboot-1", "e.target-1", "é-1",
     ".hidden-1", "--now-1", f"{'a' * 31}-1"],
)  # fmt: skip
def test_no_other_unit_can_be_requested(tmp_path: Path, name: str) -> None:
    assert run(tmp_path, name) == []
