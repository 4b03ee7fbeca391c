"""The bench runs with a few jobs for each way and real processes; its figures are not checked."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from edge.up.broker.node import PrivateNode
from tests.bench.figures.throughput import WAYS

pytestmark = [pytest.mark.broker, pytest.mark.timeout(300)]
_LONGEST_S = 280.0  # 40 s on two idle cores
_REPOSITORY = Path(__file__).parents[2]


def test_a_tiny_run_measures_every_way_and_a_fall_of_the_power(tmp_path: Path, broker_node: PrivateNode) -> None:
    """A tiny run measures the appliance, both plain workers and the durable one."""
    del broker_node  # the fixture skips or fails if there is no broker
    path = tmp_path / "bench.json"
    argv = ["-m", "tests.bench", "--plan", "tiny", "--only", "idle", "throughput", "pause", "--json", str(path)]
    done = subprocess.run(
        [sys.executable, *argv], cwd=_REPOSITORY, capture_output=True, text=True, check=False, timeout=_LONGEST_S
    )
    assert done.returncode == 0, done.stderr
    tree = json.loads(path.read_bytes())
    assert tree["left_out"] == {}
    assert tuple(row["way"] for row in tree["throughput"]) == WAYS
    assert all(row["jobs_per_s"] > 0 for row in tree["throughput"])
    assert tree["pause"]["full_started_after"] == 0
    assert {"gateway", "worker", "governor", "broker", "own"} == set(tree["idle"])
