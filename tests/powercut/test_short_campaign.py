"""A few cuts of the whole stack, as a short form of `make powercut`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from edge.core.errors import StackError
from edge.up.broker import rabbitmq
from tests.powercut.volume import missing

REPOSITORY = Path(__file__).parents[2]
CUTS = 15
MINUTES = 2.5  # on a slow machine there are fewer


@pytest.mark.broker
@pytest.mark.timeout(600)
def test_no_cut_costs_a_job_or_changes_a_result(tmp_path: Path) -> None:
    """Every accepted job survives each cut and ends with one result; the stack starts without help."""
    try:
        rabbitmq.find_server()
        reason = missing()
    except StackError as err:
        reason = str(err)
    if reason:
        if os.environ.get("CI"):
            pytest.fail(f"CI is set and no power can be cut: {reason}")
        pytest.skip(reason)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "tests.powercut", "--cuts", str(CUTS), "--minutes", str(MINUTES)),
            *("--evidence", str(tmp_path / "evidence")),
        ],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}\nlogs: {tmp_path / 'evidence'}"
