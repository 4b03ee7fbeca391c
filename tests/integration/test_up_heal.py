"""A broker whose store a power cut has damaged comes back by itself, with every job the ledger knows."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from edge.model import JobState
from edge.up.node import Node
from tests.integration.test_up_end_to_end import Up, all_end, family

pytestmark = [pytest.mark.broker, pytest.mark.timeout(300)]


@pytest.mark.parametrize(
    ("table", "kind"),
    [("meta.dets", "the node does not boot"), ("names.dets", "a queue without a leader answers nothing")],
)
def test_a_damaged_store_is_set_aside_and_refilled(broker_node: Node, tmp_path: Path, table: str, kind: str) -> None:
    """Both kinds seen after power cuts; the store is kept with a note, and each open job ends with a result."""
    del broker_node
    up = Up(tmp_path / "state")
    try:
        first = up.solve()
        os.kill(up.part("edge.worker"), signal.SIGSTOP)
        with up.client() as client:
            jobs = [client.submit("solve", n, f"What is {n} plus {n}?").id for n in range(5)]
        pids = family(up.background.pid)
        os.kill(up.background.pid, signal.SIGKILL)
        assert all_end(pids)
        up.background.wait(10)
        for damaged in (up.root / "broker" / "store").rglob(table):
            damaged.write_bytes(b"")
        up.start()
        with up.client() as client:
            assert client.result(first.id) == first
            for number, job_id in enumerate(jobs):
                assert client.wait(job_id, timeout=60).value == f"{number} plus {number} = {number * 2}"
        assert up.solve().state is JobState.SUCCEEDED
        aside = up.root / "broker" / "store.set-aside-1"
        assert list(aside.rglob(table)), kind
        assert (aside / "WHY.txt").read_text().startswith("Set aside ")
        assert "it is kept as store.set-aside-1" in up.log.read_text()
    finally:
        up.background.stop()
