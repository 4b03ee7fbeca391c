"""Complaints about the broker are heard when they come, and when their folder went and came again."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

from edge.up.broker.restart_requests import RestartRequests


def test_a_complaint_is_heard_once_it_stands_and_forgotten_when_cleared(tmp_path: Path) -> None:
    """At once when it is there already."""
    complaints = RestartRequests(tmp_path / "run" / "complaints")
    try:
        assert complaints.standing() == ""
        (tmp_path / "run" / "complaints" / "gateway").write_text("no leader\n")
        assert asyncio.run(complaints.wait()) == "gateway says: no leader"
        complaints.clear()
        assert complaints.standing() == ""
    finally:
        complaints.close()


def test_the_folder_may_be_removed_under_it(tmp_path: Path) -> None:
    """Somebody cleans up: it is made again, and the next complaint is heard."""
    folder = tmp_path / "run" / "complaints"

    async def body() -> str:
        complaints = RestartRequests(folder)
        try:
            waiting = asyncio.create_task(complaints.wait())
            await asyncio.sleep(0)
            shutil.rmtree(tmp_path / "run")
            complaints.clear()
            async with asyncio.timeout(10):
                while not folder.exists():
                    await asyncio.sleep(0.01)
                (folder / "worker").write_text("no consumer")
                return await waiting
        finally:
            complaints.close()

    assert asyncio.run(body()) == "worker says: no consumer"
