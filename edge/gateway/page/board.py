"""The board at one look: power, what runs, what waits and why, workers and nodes. And a pause by hand."""

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
from edge.gateway.page.rendering import Rendering, see
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
#: What stands beside the state of power, in this order; all other readings follow in a table.
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
    """A body that runs now."""

    job: RunningJob
    worker: str
    visible: bool  # the caller may look at the job

    @property
    def progress(self) -> Progress | None:
        """How far it is, where it says so."""
        return self.job.progress


class Waiting(msgspec.Struct, frozen=True):
    """The jobs of one power class that have not ended and do not run."""

    power: Power
    count: int
    first: JobView | None  # the oldest of them, with the reason why it waits
    visible: bool


class Figure(msgspec.Struct, frozen=True):
    """One reading as the board shows it first."""

    name: str
    reading: Reading


class BoardView:
    """`/`, and the two forms on it."""

    def __init__(self, appliance: Appliance, rendering: Rendering, door: Authenticator) -> None:
        self._appliance, self._rendering, self._door = appliance, rendering, door

    async def show(self, visit: Visit) -> web.StreamResponse:
        """Answer with the board."""
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
        views = Views(appliance.board)  # of now: some may have begun or ended meanwhile
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
        """Pause the board, for a time or until somebody resumes."""
        text = (await visit.form(max_bytes=_MAX_BYTES)).get("for", "").strip()
        for_s = seconds(text) if text else None
        if text and (for_s is None or not 1 <= for_s <= _LONGEST_S):
            raise BadRequest(f"pause for {text[:40]!r}: expected a time from a second to a year, as 30s, 20m, 2h or 3d")
        await self._order(resume=False, for_s=for_s, by=visit.caller.name)
        return see("/")

    async def resume(self, visit: Visit) -> web.StreamResponse:
        """End a pause by hand."""
        await self._order(resume=True, for_s=None, by=visit.caller.name)
        return see("/")

    async def _order(self, *, resume: bool, for_s: float | None, by: str) -> None:
        """Ask the governor, and return once it has done it. Raises Busy, StorageError."""
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
        said = self._appliance.board.verdict()
        while _mark(layout.pause) == before or self._appliance.board.verdict().at == said.at:
            if time.monotonic() > ends_at:
                if _mark(layout.pause) != before:
                    return
                why = "the governor did not take it: " + (said.reason if said.code else "is `edge power` running?")
                raise Busy(f"{why}; nothing was changed", retry_after_s=5)
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
        """Boards that may work for this one, and when each last asked for something."""
        names = sorted({token.name for token in self._door.tokens() if Scope.NODE in token.scopes})
        return [(name, self._door.nodes.get(name)) for name in names]

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


def _figures(power: PowerStatus) -> list[Figure]:
    """The readings that matter most, one of each quantity: the first source that has it."""
    found: list[Figure] = []
    for what in _MAIN:
        for reading in power.readings:
            if reading.what == what:
                found.append(Figure(_NAMES.get(what, what), reading))
                break
    return found


def _mark(path: Path) -> tuple[int, int] | None:
    """What changes with each new file at `path`; None when there is none."""
    try:
        found = os.stat(path)  # noqa: PTH116 - fifty times a second, while somebody waits
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns
