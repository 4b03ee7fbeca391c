"""A broker with a store damaged by a power cut comes back by itself, with every job of the ledger."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from edge.model import JobState
from edge.up.broker.node import PrivateNode
from tests.integration.test_up_end_to_end import Up, all_end, family, until

pytestmark = [pytest.mark.broker, pytest.mark.timeout(300)]


@pytest.mark.parametrize(
    ("table", "kind"),
    [("meta.dets", "the node does not boot"), ("names.dets", "a queue without a leader answers nothing")],
)
def test_a_damaged_store_is_set_aside_and_refilled(
    broker_node: PrivateNode, tmp_path: Path, table: str, kind: str
) -> None:
    """For both kinds of damage seen after power cuts, the store is kept with a note, and each open job is done."""
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


def test_a_running_broker_is_mended_without_a_hand(broker_node: PrivateNode, tmp_path: Path) -> None:
    """A request restarts the broker with its store; if that is damaged, it is replaced while other parts run."""
    del broker_node
    up = Up(tmp_path / "state")
    try:
        others = up.part("edge.worker"), up.part("edge.gateway")
        first = up.part("beam.smp")
        up.layout.complaints.mkdir(exist_ok=True)
        (up.layout.complaints / "gateway").write_text("it refused a job\n")
        until(lambda: up.part("beam.smp") not in (0, first), "the broker was not started again")
        assert up.solve().state is JobState.SUCCEEDED
        assert not list(up.layout.complaints.iterdir())
        assert not (up.root / "broker" / "store.set-aside-1").exists()

        os.kill(up.part("edge.worker"), signal.SIGSTOP)
        with up.client() as client:
            jobs = [client.submit("solve", n, f"What is {n} plus {n}?").id for n in range(5)]
        second = up.part("beam.smp")
        os.kill(second, signal.SIGSTOP)  # so that it writes nothing between the damage and its end
        for damaged in (up.root / "broker" / "store").rglob("names.dets"):
            damaged.write_bytes(b"")
        os.kill(second, signal.SIGKILL)
        until((up.root / "broker" / "store.set-aside-1").exists, "the store was not set aside", 120)
        os.kill(up.part("edge.worker"), signal.SIGCONT)
        with up.client() as client:
            for number, job_id in enumerate(jobs):
                assert client.wait(job_id, timeout=60).value == f"{number} plus {number} = {number * 2}"
        assert (up.part("edge.worker"), up.part("edge.gateway")) == others
    finally:
        up.background.stop()
