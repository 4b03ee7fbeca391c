"""Announcements are gathered while nobody waits for them, and are returned at once when somebody does."""

from __future__ import annotations

import asyncio
from pathlib import Path

from edge.core.layout import Layout
from edge.gateway.background.announcements import Announced, Announcements, Waiters


def results(*job_ids: str) -> Announced:
    return Announced(results=set(job_ids))


def test_what_is_not_urgent_waits_for_company(tmp_path: Path) -> None:
    """Announcements until the time limit are returned together. Later ones are returned at once."""

    async def main() -> None:
        events, loop = Announcements(Layout(tmp_path, tmp_path)), asyncio.get_running_loop()
        began = loop.time()
        events.add(results("a"))
        loop.call_later(0.05, events.add, results("b"))
        announced = await events.take(until=began + 0.3, urgent=lambda _: False)
        assert announced.results == {"a", "b"}
        assert loop.time() - began >= 0.3
        events.add(results("c"))
        announced = await asyncio.wait_for(events.take(until=began, urgent=lambda _: False), 5)
        assert announced.results == {"c"}

    asyncio.run(main())


def test_what_somebody_waits_for_ends_the_wait(tmp_path: Path) -> None:
    """An announcement for which a request waits ends the wait, and all gathered ones are returned with it."""

    async def main() -> None:
        events, waiters, loop = Announcements(Layout(tmp_path, tmp_path)), Waiters(), asyncio.get_running_loop()
        with waiters.expecting("b"):
            assert waiters.any_of({"a", "b"})
            assert not waiters.any_of({"a"})
            events.add(results("a"))
            loop.call_later(0.05, events.add, results("b"))
            taking = events.take(until=loop.time() + 60, urgent=lambda announced: waiters.any_of(announced.results))
            announced = await asyncio.wait_for(taking, 10)
        assert announced.results == {"a", "b"}
        assert not waiters.any_of({"a", "b"})

    asyncio.run(main())


def test_results_that_nobody_waits_for_are_read_together_and_none_is_lost(tmp_path: Path) -> None:
    """The kernel keeps the events between two reads, and a waiting request is woken by the next read at the latest."""

    async def main() -> None:
        layout, loop = Layout(tmp_path, tmp_path), asyncio.get_running_loop()
        events, waiters = Announcements(layout), Waiters()
        events.start()
        try:
            taking = asyncio.create_task(
                events.take(until=loop.time() + 60, urgent=lambda announced: waiters.any_of(announced.results))
            )
            names = [f"{number:032x}" for number in range(5)]
            for name in names:
                notice = layout.staging / f"{name}.json"
                notice.touch()
                if name == names[-1]:
                    with waiters.expecting(name):
                        notice.unlink()
                        announced = await asyncio.wait_for(taking, 10)
                else:
                    notice.unlink()
                    await asyncio.sleep(0)
            assert announced.results == set(names)
        finally:
            events.close()

    asyncio.run(main())
