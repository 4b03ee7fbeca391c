"""Shows the kinds of job with their arguments, and the mean run time and energy of their newest jobs."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import msgspec
from aiohttp import web

from edge.catalog.catalogue import TaskInfo
from edge.core.errors import EdgeError
from edge.gateway.page.form import fields_of
from edge.gateway.page.recent import Recent
from edge.gateway.page.rendering import Rendering
from edge.gateway.page.visit import Visit
from edge.gateway.service import Appliance
from edge.ledger.reader import LedgerReader
from edge.model import JobState, Result

#: A mean is taken over at most `_EACH` jobs of a kind. They are taken from the `_AMONG` newest jobs of all kinds.
_EACH, _AMONG = 5, 5_000
#: Counting reads a whole index, so views within this time share one count.
_SAME_S = 10.0


class Mean(msgspec.Struct, frozen=True):
    """Mean run time and energy of the newest jobs of a kind. A value is None if no job recorded it."""

    runs: int = 0  # jobs that the mean is taken over
    seconds: float | None = None
    joules: float | None = None


class KindRow(msgspec.Struct, frozen=True):
    """A kind of job as the page shows it."""

    info: TaskInfo
    arguments: tuple[str, ...]
    counts: dict[JobState, int]
    mean: Mean

    @property
    def failed(self) -> int:
        """The number of its failed jobs that are still kept."""
        return self.counts.get(JobState.FAILED, 0)

    @property
    def ended(self) -> int:
        """The number of its ended jobs that are still kept."""
        return sum(count for state, count in self.counts.items() if state.final)


class KindsView:
    """Shows `/kinds`. Runs on the event loop."""

    def __init__(self, appliance: Appliance, rendering: Rendering) -> None:
        self._appliance, self._rendering = appliance, rendering
        self._counts = Recent[dict[str, dict[JobState, int]]](_SAME_S)

    async def show(self, visit: Visit) -> web.StreamResponse:
        """Return the page of all kinds."""
        catalogue = self._appliance.kinds.current

        def look(ledger: LedgerReader) -> tuple[dict[str, dict[JobState, int]], dict[str, list[str]]]:
            counts = self._counts.get(ledger.search.by_kind)
            return counts, ledger.search.latest_of_kinds(each=_EACH, among=_AMONG)

        counts, latest = await self._appliance.outbox.look(look)
        means = await asyncio.to_thread(self._means, latest)
        rows = [
            KindRow(info, tuple(_argument(info)), counts.get(name, {}), means.get(name, Mean()))
            for name, info in sorted(catalogue.tasks.items())
        ]
        return self._rendering.page(
            visit, "kinds.html", kinds=rows, errors=catalogue.errors, each=_EACH, sees_all=visit.caller.sees_all
        )

    def _means(self, latest: dict[str, list[str]]) -> dict[str, Mean]:
        """Return the mean of each kind. Reads result files, so it runs in a thread."""
        return {task: _mean(self._results(ids)) for task, ids in latest.items()}

    def _results(self, ids: Iterable[str]) -> Iterable[Result]:
        for job_id in ids:
            try:
                result = self._appliance.results.read(job_id)
            except (EdgeError, OSError):
                continue  # the file is damaged, or was removed since the search
            if result is not None:
                yield result


def _mean(results: Iterable[Result]) -> Mean:
    found = [result.energy for result in results if result.energy is not None]
    if not found:
        return Mean()
    count = len(found)
    return Mean(count, sum(each.seconds for each in found) / count, sum(each.joules for each in found) / count)


def _argument(info: TaskInfo) -> Iterable[str]:
    for field in fields_of(info):
        yield field.name if field.required else f"{field.name} = {field.filled or 'none'}"
