"""Restart requests are noticed when they come, also after their folder was removed."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

from edge.up.broker.restart_requests import RestartRequests


def test_a_request_is_noticed_when_it_exists_and_forgotten_when_cleared(tmp_path: Path) -> None:
    """A request that exists already ends the wait at once."""
    requests = RestartRequests(tmp_path / "run" / "complaints")
    try:
        assert requests.standing() == ""
        (tmp_path / "run" / "complaints" / "gateway").write_text("no leader\n")
        assert asyncio.run(requests.wait()) == "gateway says: no leader"
        requests.clear()
        assert requests.standing() == ""
    finally:
        requests.close()


def test_the_folder_may_be_removed_under_it(tmp_path: Path) -> None:
    """If the folder is removed, it is made again, and the next request is noticed."""
    folder = tmp_path / "run" / "complaints"

    async def body() -> str:
        requests = RestartRequests(folder)
        try:
            waiting = asyncio.create_task(requests.wait())
            await asyncio.sleep(0)
            shutil.rmtree(tmp_path / "run")
            requests.clear()
            async with asyncio.timeout(10):
                while not folder.exists():
                    await asyncio.sleep(0.01)
                (folder / "worker").write_text("no consumer")
                return await waiting
        finally:
            requests.close()

    assert asyncio.run(body()) == "worker says: no consumer"
