"""The gateway loads the catalogue at its start, and again until a load has succeeded."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from edge.catalog.catalogue import Catalogue
from edge.core.backoff import Backoff
from edge.core.errors import CatalogueError
from edge.gateway import kinds
from edge.gateway.http.problems import Busy
from edge.gateway.kinds import CatalogueLoader


def _fails(times: int) -> tuple[list[int], Callable[[], Catalogue]]:
    """Return a list that grows with each load, and a loader that fails the first `times` times."""
    reads: list[int] = []

    def load() -> Catalogue:
        reads.append(len(reads))
        if len(reads) <= times:
            raise CatalogueError("the task modules were not imported within 1 s")
        return Catalogue({}, {})

    return reads, load


async def _at_once(pauses: list[float], seconds: float) -> None:
    pauses.append(seconds)


def test_a_catalogue_that_could_not_be_read_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loader tries again without a request, after longer and longer pauses, until there is a catalogue."""
    reads, load = _fails(9)
    pauses: list[float] = []
    monkeypatch.setattr(asyncio, "sleep", lambda seconds: _at_once(pauses, seconds))
    found = CatalogueLoader(load)

    async def start() -> None:
        with pytest.raises(Busy, match="are being read"):
            _ = found.current
        await found.reload()
        with pytest.raises(Busy, match="not imported within 1 s"):
            _ = found.current
        await found.persist()

    asyncio.run(start())
    assert found.current.tasks == {}
    assert found.error == ""
    assert len(reads) == 10
    assert pauses == [30, 60, 120, 240, 480, 960, 1920, 3600, 3600]


def test_nothing_is_read_twice_once_it_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """If a reload by hand succeeds during the pause, the catalogue is not loaded again after it."""
    reads, load = _fails(1)
    monkeypatch.setattr(kinds, "_RETRY", Backoff(first_s=0.05, most_s=0.05))
    found = CatalogueLoader(load)

    async def start() -> None:
        await found.reload()
        persisting = asyncio.create_task(found.persist())
        await asyncio.sleep(0)
        await found.reload()
        await persisting

    asyncio.run(asyncio.wait_for(start(), 10))
    assert len(reads) == 2
