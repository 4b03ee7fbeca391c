"""Shows schedules with their next times and the fate of their last slots. Runs, pauses and removes schedules."""

from __future__ import annotations

import re
import secrets
from datetime import datetime

from aiohttp import web

from edge.gateway.http.problems import BadRequest
from edge.gateway.page.rendering import Rendering, redirect
from edge.gateway.page.visit import Visit
from edge.gateway.service import Appliance
from edge.ledger.schedules import ScheduleRow

_PAGE = 100
_MAX_BYTES = 4096
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
#: Idempotency key of a form: the same form sent twice makes one job.
_KEY = re.compile(r"[0-9a-f]{32}")


class SchedulesView:
    """Handles `/schedules` and the paths below it. Runs on the event loop.

    The page makes no schedules: `edge schedule` and `PUT /v1/schedules` do.
    """

    def __init__(self, appliance: Appliance, rendering: Rendering) -> None:
        self._appliance, self._rendering = appliance, rendering

    async def show(self, visit: Visit) -> web.StreamResponse:
        """Return one page of the list. Raises BadRequest."""
        after = visit.query().get("after", "")
        if after and not _NAME.fullmatch(after):
            raise BadRequest(f"after {after[:40]!r}: expected the name from the link on the page before")
        page = await self._appliance.schedules.page(visit.caller, after=after, limit=_PAGE)
        return self._rendering.page(visit, "schedules.html", page=page, moment=_moment)

    async def one(self, visit: Visit) -> web.StreamResponse:
        """Return the page of one schedule."""
        view = self._appliance.schedules.view(self._row(visit))
        return self._rendering.page(
            visit,
            "schedule.html",
            schedule=view,
            moment=_moment,
            may_change=visit.may_submit and visit.may_end(view.submitter),
            key=secrets.token_hex(16),
        )

    async def run(self, visit: Visit) -> web.StreamResponse:
        """Make a job of the schedule now, outside its slots."""
        key = (await visit.form(max_bytes=_MAX_BYTES)).get("key", "")
        job, _ = await self._appliance.schedules.run_now(
            self._row(visit, change=True), f"page-{key}" if _KEY.fullmatch(key) else ""
        )
        return redirect(f"/jobs/{job.id}")

    async def pause(self, visit: Visit) -> web.StreamResponse:
        """Pause the schedule: its slots are skipped from now on."""
        return await self._pause(visit, paused=True)

    async def resume(self, visit: Visit) -> web.StreamResponse:
        """End the pause of the schedule: its slots run again."""
        return await self._pause(visit, paused=False)

    async def remove(self, visit: Visit) -> web.StreamResponse:
        """Remove the schedule. The jobs that it made stay."""
        await visit.form(max_bytes=_MAX_BYTES)
        await self._appliance.schedules.drop(self._row(visit, change=True))
        return redirect("/schedules")

    async def _pause(self, visit: Visit, *, paused: bool) -> web.StreamResponse:
        await visit.form(max_bytes=_MAX_BYTES)
        row = await self._appliance.schedules.pause(self._row(visit, change=True), paused=paused)
        return redirect(f"/schedules/{row.name}")

    def _row(self, visit: Visit, *, change: bool = False) -> ScheduleRow:
        return self._appliance.schedules.find(visit.path, visit.caller, change=change)


def _moment(text: str) -> float | None:
    """Return an RFC 3339 time as seconds since the epoch, or None if `text` is not such a time."""
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        return None
