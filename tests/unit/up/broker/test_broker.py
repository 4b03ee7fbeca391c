"""The judgement over the broker's store: what is set aside comes back unless a new one works in its place."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path
from unittest.mock import AsyncMock

import pytest

from edge.core.backoff import Backoff
from edge.core.errors import StackError
from edge.core.layout import Layout
from edge.up.broker.broker import Broker
from edge.up.broker.node import PrivateNode, Unwritable
from edge.up.broker.ports import NodePorts
from edge.up.broker.restart_requests import RestartRequests
from edge.up.lines import StackLog


class Judged(Broker):
    """A broker whose store is judged without starting one: each trial ends as `ends` says."""

    def __init__(self, base: Path, *ends: BaseException | None) -> None:
        self.node = PrivateNode(base, NodePorts(1, 2, 3))
        self.ends = list(ends)
        layout = Layout(base, base / "run")
        super().__init__(layout, self.node, StackLog(io.StringIO()), env={}, hurry=asyncio.Event())

    async def _try_store(self) -> None:
        end = self.ends.pop(0)
        if end is not None:
            raise end

    async def replace_store(self) -> None:
        await self._replace_store(StackError("queue edge.normal does not answer"))


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
    asyncio.run(judged.replace_store())
    assert (tmp_path / "store.set-aside-1" / "queues").read_text() == "jobs"
    assert not (judged.node.store / "queues").exists()


@pytest.mark.parametrize("end", [StackError("no"), OSError(28, "full"), asyncio.CancelledError(), KeyboardInterrupt()])
def test_without_a_new_store_that_works_the_old_one_comes_back(tmp_path: Path, end: BaseException) -> None:
    """Whatever ended the trial of the new one, a Ctrl-C too."""
    judged = broker(tmp_path, end)
    with pytest.raises(type(end)):
        asyncio.run(judged.replace_store())
    assert (judged.node.store / "queues").read_text() == "jobs"
    assert not (tmp_path / "store.set-aside-1").exists()


def test_a_complaint_wakes_whoever_waits_for_one(tmp_path: Path) -> None:
    """One that stands already, one that comes; not what is still being written."""

    async def body() -> None:
        complaints = RestartRequests(tmp_path / "complaints")
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


def test_a_card_that_is_full_at_the_start_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it is that cannot be written is named; with room the same start is told as what it is."""
    said = io.StringIO()
    room = iter([True, False, False, True])
    monkeypatch.setattr("edge.up.broker.broker.RESTART", Backoff(first_s=0.0, most_s=0.0))
    monkeypatch.setattr("edge.up.broker.broker.durable.has_free_space", lambda _folder, _bytes: next(room, True))
    judged = broker(tmp_path, Unwritable("the broker cannot write store: No space left on device"), None)
    judged._lines = StackLog(said)
    monkeypatch.setattr(judged.epmd, "start", AsyncMock())
    asyncio.run(judged.start())
    assert "the broker cannot write store: No space left on device" in said.getvalue()
    assert said.getvalue().count("the broker waits for room on the disk") == 1
    assert not (tmp_path / "store.set-aside-1").exists()
    judged.ends = [Unwritable("the broker cannot write store: Input/output error")]
    with pytest.raises(StackError, match="cannot write store: Input/output error"):
        asyncio.run(judged.start())


def test_what_the_broker_cannot_write_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write to a full disk has no file name of its own."""

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("edge.core.durable.replace", full)
    with pytest.raises(Unwritable, match=f"the broker cannot write {tmp_path}/b: No space left on device"):
        PrivateNode(tmp_path / "b", NodePorts(1, 2, 3)).listen(5)
