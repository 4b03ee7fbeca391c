"""The seeded bugs of the power-cut rig fit the code that they break; one that does not fit would prove nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.powercut.bugs import BUGS


@pytest.mark.parametrize("name", BUGS)
def test_a_seeded_bug_goes_into_its_module(name: str) -> None:
    """The bug can be patched in, in a separate process as in the rig."""
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
