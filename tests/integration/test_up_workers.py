"""`edge up` with several workers: threads for kinds of the pool io, and classes and kinds divided by a list."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.broker.topology import depths
from edge.config import load
from edge.model import Power
from edge.up.broker.node import PrivateNode
from edge.up.broker.ports import free_ports
from edge.up.settings import _TEXT
from tests.integration.test_up_end_to_end import Up, all_end, family, three_in_a_row

pytestmark = [pytest.mark.broker, pytest.mark.timeout(300)]

KINDS = '''
from edge.worker import task


@task(pool="io")
def fetch(number: int) -> int:
    """Stand for a body that waits for a network."""
    return number + 1


@task
def count(number: int) -> int:
    """Compute."""
    return number + 2


@task
def own(number: int) -> int:
    """Is taken by one worker alone."""
    return number + 3
'''
LISTED = """
workers:
  - {name: main, classes: [always, surplus]}
  - {name: other, classes: [normal]}
  - {name: own, kinds: [own]}
"""


DOCS = (Path(__file__).parents[2] / "docs/how-to/workers.md").read_text()


def example(language: str) -> str:
    """Return the first block in this language of docs/how-to/workers.md."""
    found = re.search(rf"^```{language}\n(.*?)^```", DOCS, re.MULTILINE | re.DOTALL)
    assert found is not None, language
    return found[1]


class Listed(Up):
    """An `edge up` with these kinds and additional lines of `edge.yaml`."""

    def __init__(self, root: Path, more: str, kinds: str = KINDS) -> None:
        root.mkdir()
        (root / "kinds.py").write_text(kinds)
        text = _TEXT.format(port=free_ports(1)[0], broker_port=three_in_a_row())
        (root / "edge.yaml").write_text(f"{text}\ntasks: [kinds]\n{more}")
        super().__init__(root)

    def ran(self, kind: str, power: Power | None = None, argument: object = 1) -> tuple[object, str]:
        """Run a job of this kind, and return its value and the worker that ran it."""
        with self.client() as client:
            job = client.submit(kind, argument, power=power)
            result = job.wait(120)
            return result.value, result.worker


@pytest.fixture(scope="module")
def board(broker_node: PrivateNode, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Listed]:
    """A board without a list of workers and with kinds of both pools."""
    del broker_node  # the fixture skips or fails if there is no broker
    stack = Listed(tmp_path_factory.mktemp("pools") / "state", "")
    yield stack
    stack.background.stop()


def test_a_kind_of_the_pool_io_runs_beside_the_main_worker(board: Listed) -> None:
    """A worker of threads is started for a kind of the pool io, and each kind goes to its worker."""
    assert board.ran("fetch") == (2, "io")
    assert board.ran("count") == (3, "main")


def test_its_jobs_have_queues_of_their_own(board: Listed) -> None:
    """The broker of the board has a queue for each class of the pool io."""
    config = load(board.root / "edge.yaml", {"EDGE_BROKER_PORT": str(board.broker_port)}).config
    assert depths(config.broker, more=["edge.io.normal"])["edge.io.normal"] == 0
    with board.client() as client:
        queues = {worker.name: worker.queues for worker in client.status().workers}
    assert set(queues) == {"main", "io"}
    assert not {queue for queue in queues["main"] if "io" in queue}
    assert {queue for queue in queues["io"] if queue != "edge.dead"} <= {f"edge.io.{power}" for power in Power}


def test_a_list_shares_out_classes_and_kinds(broker_node: PrivateNode, tmp_path: Path) -> None:
    """Each job runs in the listed worker; a job that no worker takes is kept with a reason; a stop ends all workers."""
    del broker_node
    stack = Listed(tmp_path / "state", LISTED)
    try:
        assert stack.ran("count", Power.NORMAL) == (3, "other")
        assert stack.ran("count", Power.ALWAYS) == (3, "main")
        assert stack.ran("own") == (4, "own")
        with stack.client() as client:
            job = client.submit("fetch", 1)
            job.refresh()
            assert "no worker of pool threads is configured, which fetch needs" in job.view.waiting
            assert any("fetch" in sentence and "pool: threads" in sentence for sentence in client.status().unserved)
        pids = family(stack.background.pid)
    finally:
        stack.background.stop()
    assert all_end(pids)


def test_the_example_of_the_manual(broker_node: PrivateNode, tmp_path: Path) -> None:
    """The list and the kinds of job of the page work unchanged, and doctor finds no fault."""
    del broker_node
    stack = Listed(tmp_path / "state", example("yaml"), example("python"))
    try:
        value, worker = stack.ran("fetch", argument=f"{stack.background.news['X_EDGE_URL']}/v1/healthz")
        assert isinstance(value, int)
        assert value > 0
        assert worker == "io"
        assert stack.ran("report") == (2, "reports")
        with stack.client() as client:
            status = client.status()
        assert {each.name for each in status.workers} == {"main", "sun", "io", "reports"}
        assert status.unserved == ()
    finally:
        stack.background.stop()
