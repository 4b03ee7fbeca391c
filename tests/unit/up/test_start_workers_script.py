"""`systemd/edge-start-workers`, with a systemctl that tells what was asked of it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "systemd" / "edge-start-workers"


def run(folder: Path, *names: str) -> list[str]:
    """What it asks of systemctl when the governor asks for these."""
    asked, programs, said = folder / "start", folder / "bin", folder / "said"
    for each in (asked, programs):
        each.mkdir()
    for name in names:
        (asked / name).touch()
    said.touch()
    (programs / "systemctl").write_text(f'#!/bin/sh\necho "$*" >>{said}\nexit 1\n')
    (programs / "systemctl").chmod(0o755)
    env = {"PATH": f"{programs}:/usr/bin:/bin", "ASKED": str(asked)}
    done = subprocess.run(["sh", SCRIPT], env=env, capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 0, done.stderr
    assert not [path for path in asked.iterdir() if not path.name.startswith(".")]
    return said.read_text().splitlines()


def test_it_starts_who_is_asked_for_and_takes_the_files_away(tmp_path: Path) -> None:
    """A start that systemd refuses does not keep it from the next one."""
    assert run(tmp_path, "extra-1", "sun-day_2-64") == [
        "--no-block start edge-worker@extra-1.service",
        "--no-block start edge-worker@sun-day_2-64.service",
    ]


def test_nobody_asks_for_none(tmp_path: Path) -> None:
    assert run(tmp_path) == []


@pytest.mark.parametrize(
    "name",
    ["extra", "extra-0", "extra-01", "extra-100", "7", "-1", "extra-", "a b-1", "x;reboot-1", "e.target-1", "é-1",
     ".hidden-1", "--now-1", f"{'a' * 31}-1"],
)  # fmt: skip
def test_no_other_unit_can_be_asked_for(tmp_path: Path, name: str) -> None:
    assert run(tmp_path, name) == []
