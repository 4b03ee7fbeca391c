"""The decision about the store of the broker: a store that was set aside is put back unless a new one works."""

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


class SimulatedBroker(Broker):
    """A broker that is never started. Each trial of a store ends with the next entry of `ends`."""

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


def make_broker(tmp_path: Path, *ends: BaseException | None) -> SimulatedBroker:
    """Return a broker with a settled store that holds jobs."""
    broker = SimulatedBroker(tmp_path, *ends)
    broker.node.store.mkdir()
    (broker.node.store / "settled").touch()
    (broker.node.store / "queues").write_text("jobs")
    return broker


def test_a_new_store_that_works_stays(tmp_path: Path) -> None:
    """The old store is kept under another name."""
    broker = make_broker(tmp_path, None)
    asyncio.run(broker.replace_store())
    assert (tmp_path / "store.set-aside-1" / "queues").read_text() == "jobs"
    assert not (broker.node.store / "queues").exists()


@pytest.mark.parametrize("end", [StackError("no"), OSError(28, "full"), asyncio.CancelledError(), KeyboardInterrupt()])
def test_without_a_new_store_that_works_the_old_one_comes_back(tmp_path: Path, end: BaseException) -> None:
    """This holds for any end of the trial of the new store, also for a Ctrl-C."""
    broker = make_broker(tmp_path, end)
    with pytest.raises(type(end)):
        asyncio.run(broker.replace_store())
    assert (broker.node.store / "queues").read_text() == "jobs"
    assert not (tmp_path / "store.set-aside-1").exists()


def test_a_request_ends_the_wait_for_one(tmp_path: Path) -> None:
    """This holds for a new request and for an existing one, but not for a file that is still being written."""

    async def body() -> None:
        requests = RestartRequests(tmp_path / "complaints")
        try:
            waiting = asyncio.create_task(requests.wait())
            await asyncio.sleep(0)
            (tmp_path / "complaints" / ".gateway.tmp").write_text("half")
            (tmp_path / "complaints" / "gateway").write_text("it refused a job\n")
            async with asyncio.timeout(10):
                assert await waiting == "gateway says: it refused a job"
                assert await requests.wait() == "gateway says: it refused a job"
            requests.clear()
            assert not requests.standing()
        finally:
            requests.close()

    asyncio.run(body())


def test_a_card_that_is_full_at_the_start_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file that cannot be written is named. If there is room, the same error ends the start."""
    log = io.StringIO()
    room = iter([True, False, False, True])
    monkeypatch.setattr("edge.up.broker.broker.RESTART", Backoff(first_s=0.0, most_s=0.0))
    monkeypatch.setattr("edge.up.broker.broker.durable.has_free_space", lambda _folder, _bytes: next(room, True))
    broker = make_broker(tmp_path, Unwritable("the broker cannot write store: No space left on device"), None)
    broker._lines = StackLog(log)
    monkeypatch.setattr(broker.epmd, "start", AsyncMock())
    asyncio.run(broker.start())
    assert "the broker cannot write store: No space left on device" in log.getvalue()
    assert log.getvalue().count("the broker waits for room on the disk") == 1
    assert not (tmp_path / "store.set-aside-1").exists()
    broker.ends = [Unwritable("the broker cannot write store: Input/output error")]
    with pytest.raises(StackError, match="cannot write store: Input/output error"):
        asyncio.run(broker.start())


def test_a_file_that_the_broker_cannot_write_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error of a write to a full disk does not name the file."""

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("edge.core.durable.replace", full)
    with pytest.raises(Unwritable, match=f"the broker cannot write {tmp_path}/b: No space left on device"):
        PrivateNode(tmp_path / "b", NodePorts(1, 2, 3)).listen(5)
