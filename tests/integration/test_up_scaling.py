"""`edge up` starts further workers for a backlog and retires them between two jobs."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from edge.model import JobState, ScaledWorkers, ScalingStatus
from edge.up.broker.node import PrivateNode
from tests.integration.test_up_workers import Listed
from tests.running_worker import until

pytestmark = [pytest.mark.broker, pytest.mark.timeout(300)]

KINDS = '''
import os
import time
from edge.worker import Job, task


@task
def nap(seconds: float, job: Job) -> int:
    """Sleep, and say so in a file that tells which bodies ended."""
    fd = os.open(job.settings["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(fd, f"begin {job.id}\\n".encode())
    time.sleep(seconds)
    os.write(fd, f"end {job.id}\\n".encode())
    os.close(fd)
    return os.getpid()
'''
WORKERS = """
workers:
  - {name: main}
  - {name: extra, max: auto, drain_target_s: 1, down_after_s: 10, start_cost_s: 0, guess_s: 0.2}
settings: {nap: {log: LOG}}
"""


class Scaled(Listed):
    """An `edge up` whose extra workers come and go."""

    def __init__(self, root: Path, more: str = WORKERS) -> None:
        self.bodies_log = root.parent / "bodies"
        super().__init__(root, more.replace("LOG", str(self.bodies_log)), KINDS)

    def told(self) -> ScaledWorkers:
        """What the governor decided last of the one scaled entry."""
        return msgspec.json.decode(self.layout.scaling.read_bytes(), type=ScalingStatus).entries[0]

    def bodies(self) -> Counter[str]:
        """How often each line stands in the file of the bodies."""
        return Counter(self.bodies_log.read_text().splitlines())


@pytest.fixture
def board(broker_node: PrivateNode, tmp_path: Path) -> Iterator[Scaled]:
    """A board with one scaled entry."""
    del broker_node
    stack = Scaled(tmp_path / "state")
    yield stack
    stack.background.stop()


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="a board with one core has no room for a second worker")
def test_workers_come_for_a_backlog_and_go_after_it_and_no_body_is_interrupted(board: Scaled) -> None:
    """Each job runs once, some on the further worker; that one ends by itself and gives its memory back."""
    with board.client() as client:
        jobs = [client.submit("nap", 0.2) for _ in range(60)]
        results = [job.wait(120) for job in jobs]
        assert {result.state for result in results} == {JobState.SUCCEEDED}
        workers = Counter(result.worker for result in results)
        assert set(workers) == {"main", "extra-1"}, workers
        pid = next(result.value for result in results if result.worker == "extra-1")
        assert isinstance(pid, int)
        until(lambda: board.told().wanted == 0, lambda: f"{board.told()}")
        until(lambda: not Path(f"/proc/{pid}").exists(), lambda: f"{pid} lives; {board.told()}")
        assert set(board.bodies().values()) == {1}
        assert {result.attempts for result in results} == {1}
        assert [step.wanted for step in board.told().steps][:2] == [0, 1]
