"""`edge up` starts additional workers for a backlog, and retires them between two jobs."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.model import JobState
from edge.up.broker.node import PrivateNode
from tests.running_worker import until
from tests.scale.downs import ScaledBoard

pytestmark = [pytest.mark.broker, pytest.mark.timeout(300)]

WORKERS = """
workers:
  - {name: main}
  - {name: extra, max: auto, drain_target_s: 1, down_after_s: 10, start_cost_s: 0, guess_s: 0.2}
settings: {nap: {log: LOG}}
"""


@pytest.fixture
def board(broker_node: PrivateNode, tmp_path: Path) -> Iterator[ScaledBoard]:
    """A board with one scaled entry."""
    del broker_node
    stack = ScaledBoard(tmp_path / "state", WORKERS)
    yield stack
    stack.background.stop()


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="a board with one core has no room for a second worker")
def test_workers_come_for_a_backlog_and_go_after_it_and_no_body_is_interrupted(board: ScaledBoard) -> None:
    """Each job runs once, some in the additional worker, which ends by itself and frees its memory."""
    with board.client() as client:
        jobs = [client.submit("nap", 0.2) for _ in range(60)]
        results = [job.wait(120) for job in jobs]
        assert {result.state for result in results} == {JobState.SUCCEEDED}
        workers = Counter(result.worker for result in results)
        assert set(workers) == {"main", "extra-1"}, workers
        pid = next(result.value for result in results if result.worker == "extra-1")
        assert isinstance(pid, int)
        until(lambda: board.decided().wanted == 0, lambda: f"{board.decided()}")
        until(lambda: not Path(f"/proc/{pid}").exists(), lambda: f"{pid} lives; {board.decided()}")
        assert set(board.bodies().values()) == {1}
        assert {result.attempts for result in results} == {1}
        assert [step.wanted for step in board.decided().steps][:2] == [0, 1]
