"""The judgement over the broker's store: what is set aside comes back unless a new one works in its place."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path

import pytest

from edge.errors import StackError
from edge.layout import Layout
from edge.up.broker import Broker
from edge.up.complaints import Complaints
from edge.up.lines import Lines
from edge.up.node import Node
from edge.up.ports import NodePorts


class Judged(Broker):
    """A broker whose store is judged without starting one: each trial ends as `ends` says."""

    def __init__(self, base: Path, *ends: BaseException | None) -> None:
        self.node = Node(base, NodePorts(1, 2, 3))
        self.ends = list(ends)
        layout = Layout(base, base / "run")
        super().__init__(layout, self.node, Lines(io.StringIO()), env={}, hurry=asyncio.Event())

    async def _try_store(self) -> None:
        end = self.ends.pop(0)
        if end is not None:
            raise end

    async def heal(self) -> None:
        await self._heal(StackError("queue edge.normal does not answer"))


def broker(tmp_path: Path, *ends: BaseException | None) -> Judged:
    """One with a settled store that holds jobs."""
    judged = Judged(tmp_path, *ends)
    judged.node.store.mkdir()
    (judged.node.store / "settled").touch()
    (judged.node.store / "queues").write_text("jobs")
    return judged


def test_a_new_store_that_works_stays(tmp_path: Path) -> None:
    """The old one is kept beside it."""
    judged = broker(tmp_path, None)
    asyncio.run(judged.heal())
    assert (tmp_path / "store.set-aside-1" / "queues").read_text() == "jobs"
    assert not (judged.node.store / "queues").exists()


@pytest.mark.parametrize("end", [StackError("no"), OSError(28, "full"), asyncio.CancelledError(), KeyboardInterrupt()])
def test_without_a_new_store_that_works_the_old_one_comes_back(tmp_path: Path, end: BaseException) -> None:
    """Whatever ended the trial of the new one, a Ctrl-C too."""
    judged = broker(tmp_path, end)
    with pytest.raises(type(end)):
        asyncio.run(judged.heal())
    assert (judged.node.store / "queues").read_text() == "jobs"
    assert not (tmp_path / "store.set-aside-1").exists()


def test_a_complaint_wakes_whoever_waits_for_one(tmp_path: Path) -> None:
    """One that stands already, one that comes; not what is still being written."""

    async def body() -> None:
        complaints = Complaints(tmp_path / "complaints")
        try:
            waiting = asyncio.create_task(complaints.wait())
            await asyncio.sleep(0)
            (tmp_path / "complaints" / ".gateway.tmp").write_text("half")
            (tmp_path / "complaints" / "gateway").write_text("it refused a job\n")
            async with asyncio.timeout(10):
                assert await waiting == "gateway says: it refused a job"
                assert await complaints.wait() == "gateway says: it refused a job"
            complaints.clear()
            assert not complaints.standing()
        finally:
            complaints.close()

    asyncio.run(body())
