"""The bugs that the power-cut rig is tried with fit the code they break: one that fits no more would prove nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.powercut.bugs import BUGS


@pytest.mark.parametrize("name", BUGS)
def test_a_seeded_bug_goes_into_its_module(name: str) -> None:
    """In a process of its own, as the rig does it."""
    code = (
        "import importlib\n"
        "from tests.powercut import bugs\n"
        f"bugs.install({name!r})\n"
        f"importlib.import_module({BUGS[name].module!r})\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
