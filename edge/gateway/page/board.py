"""The start page: shows power, running and waiting jobs, workers and nodes, and lets an admin pause the board."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import msgspec
from aiohttp import web

from edge.access.tokens import Scope
from edge.core.errors import StorageError
from edge.core.text import seconds
from edge.gateway.http.auth import Authenticator
from edge.gateway.http.problems import BadRequest, Busy
from edge.gateway.page.rendering import Rendering, redirect
from edge.gateway.page.visit import Visit
from edge.gateway.service import Appliance
from edge.gateway.views import Views
from edge.ledger.reader import LedgerReader
from edge.ledger.rows import JobRow
from edge.ledger.search import Found, Wanted
from edge.model import Power, PowerStatus, Progress, Reading, RunningJob, WorkerStatus
from edge.power import pause_order
from edge.wire import JobView

_NEWEST = 8
_RUNNING_MOST = 50
_LOOK_S = 0.1
_TAKEN_S = 3.0
_POLL_S = 0.02
_LONGEST_S = 366 * 86_400
_MAX_BYTES = 4096
#: Quantities that are shown next to the power state, in this order. All other readings are listed in a table.
_MAIN = ("charge", "watts", "solar_watts", "temperature", "runtime", "volts")
_NAMES = {
    "charge": "battery",
    "solar_watts": "solar",
    "watts": "power used",
    "runtime": "lasts for",
    "volts": "voltage",
}
PAUSES = (("20m", "20 minutes"), ("1h", "1 hour"), ("3h", "3 hours"), ("12h", "12 hours"), ("", "until resumed"))


class Running(msgspec.Struct, frozen=True):
    """A running job and its worker."""

    job: RunningJob
    worker: str
    visible: bool  # True if the caller may open the page of this job

    @property
    def progress(self) -> Progress | None:
        """The progress that the job reported, or None if it has reported none."""
        return self.job.progress


class Waiting(msgspec.Struct, frozen=True):
    """The jobs of one power class that have not ended and do not run."""

    power: Power
    count: int
    first: JobView | None  # the oldest job, with the reason why it waits
    visible: bool  # True if the caller may open the page of the oldest job


class MainReading(msgspec.Struct, frozen=True):
    """One reading that is shown next to the power state, under a name for people."""

    name: str
    reading: Reading


class BoardView:
    """Shows `/` and handles its two forms, pause and resume. Runs on the event loop."""

    def __init__(self, appliance: Appliance, rendering: Rendering, authenticator: Authenticator) -> None:
        self._appliance, self._rendering, self._authenticator = appliance, rendering, authenticator

    async def show(self, visit: Visit) -> web.StreamResponse:
        """Return the start page."""
        appliance = self._appliance
        own = visit.own_only
        running_ids = set(Views(appliance.board).running_ids())

        counts = {power: count for power, count in appliance.outbox.totals.backlog.items() if count > 0}

        def look(ledger: LedgerReader) -> tuple[dict[Power, list[JobRow]], Found]:
            search = ledger.search
            first = {power: search.first_waiting(power, limit=len(running_ids) + 1) for power in counts}
            newest = search.find(Wanted(submitter=own), limit=_NEWEST, budget_s=_LOOK_S)
            return first, newest

        first, newest = await appliance.outbox.look(look)
        views = Views(appliance.board)  # read again: jobs may have started or ended during the search
        workers = appliance.board.workers()
        running, more_running = self._running(visit, workers)
        power = appliance.board.power()
        figures = _figures(power)
        return self._rendering.page(
            visit,
            "board.html",
            status_of_power=power,
            figures=figures,
            readings=[each for each in power.readings if each not in {figure.reading for figure in figures}],
            running=running,
            more_running=more_running,
            waiting=[self._waiting(visit, views, each, counts, first, running_ids) for each in Power if each in counts],
            newest=[views.of(row) for row in newest.rows],
            workers=workers,
            later=appliance.outbox.totals.waiting,
            scaling=appliance.board.scaling(),
            nodes=self._nodes(),
            broker=appliance.board.broker(),
            counts=appliance.counts(),
            free_bytes=appliance.board.free_bytes(),
            warnings=self._warnings(),
            pauses=PAUSES,
            paused=appliance.config.layout.pause.exists(),
        )

    async def pause(self, visit: Visit) -> web.StreamResponse:
        """Pause the board, for some time or until somebody resumes. Raises BadRequest, Busy, StorageError."""
        text = (await visit.form(max_bytes=_MAX_BYTES)).get("for", "").strip()
        for_s = seconds(text) if text else None
        if text and (for_s is None or not 1 <= for_s <= _LONGEST_S):
            expected = "expected a duration from a second to a year, such as 30s, 20m, 2h or 3d"
            raise BadRequest(f"pause for {text[:40]!r}: {expected}")
        await self._order(resume=False, for_s=for_s, by=visit.caller.name)
        return redirect("/")

    async def resume(self, visit: Visit) -> web.StreamResponse:
        """End a pause that was set by hand. Raises Busy, StorageError."""
        await self._order(resume=True, for_s=None, by=visit.caller.name)
        return redirect("/")

    async def _order(self, *, resume: bool, for_s: float | None, by: str) -> None:
        """Send the order to the governor and return when it is carried out. Raises Busy, StorageError."""
        layout = self._appliance.config.layout
        before = _mark(layout.pause)
        if resume and before is None:
            return
        try:
            by = by if by != "local" else "hand"
            await asyncio.to_thread(pause_order.give, layout.pause_order, resume=resume, for_s=for_s, by=by)
        except OSError as err:
            raise StorageError("cannot hand the pause to the governor", err) from err
        ends_at = time.monotonic() + _TAKEN_S
        verdict = self._appliance.board.verdict()
        while _mark(layout.pause) == before or self._appliance.board.verdict().at == verdict.at:
            if time.monotonic() > ends_at:
                if _mark(layout.pause) != before:
                    return
                why = verdict.reason if verdict.code else "is `edge power` running?"
                # Not "nothing was changed": a slow governor may still take the order, until `pause_order.FRESH_S`.
                raise Busy(f"the governor did not take it: {why}; nothing has changed so far", retry_after_s=5)
            await asyncio.sleep(_POLL_S)

    @staticmethod
    def _running(visit: Visit, workers: list[WorkerStatus]) -> tuple[list[Running], int]:
        own = visit.own_only
        every = [Running(job, worker.name, own is None) for worker in workers for job in worker.running]
        return every[:_RUNNING_MOST], max(0, len(every) - _RUNNING_MOST)

    def _waiting(
        self,
        visit: Visit,
        views: Views,
        power: Power,
        counts: dict[Power, int],
        first: dict[Power, list[JobRow]],
        running: set[str],
    ) -> Waiting:
        rows = [row for row in first[power] if row.id not in running]
        view = views.of(rows[0]) if rows else None
        live = sum(1 for row in first[power] if row.id in running)
        visible = view is not None and visit.caller.may_see(view.submitter)
        return Waiting(power, max(0, counts[power] - live), view, visible)

    def _nodes(self) -> list[tuple[str, float | None]]:
        """Return the name of each node, with the time of its last request or None if it has sent none."""
        names = sorted({token.name for token in self._authenticator.tokens() if Scope.NODE in token.scopes})
        return [(name, self._authenticator.nodes.get(name)) for name in names]

    def _warnings(self) -> list[str]:
        appliance = self._appliance
        found = [*appliance.warnings(), *appliance.unserved()]
        if appliance.fault.why:
            found.append(f"the ledger cannot be written, so no job is accepted: {appliance.fault.why}")
        if not appliance.kinds.readable:
            found.append(f"the kinds of job cannot be read: {appliance.kinds.error}")
        else:
            found += [f"tasks of {name}: {why}" for name, why in appliance.kinds.current.errors.items()]
        return found


def _figures(power: PowerStatus) -> list[MainReading]:
    """Return the readings of `_MAIN`: of each quantity the one of the first source that measures it."""
    found: list[MainReading] = []
    for what in _MAIN:
        for reading in power.readings:
            if reading.what == what:
                found.append(MainReading(_NAMES.get(what, what), reading))
                break
    return found


def _mark(path: Path) -> tuple[int, int] | None:
    """Return a value that differs for each new file at `path`, or None if there is no file."""
    try:
        found = os.stat(path)  # noqa: PTH116 - called 50 times a second while a request waits
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns
