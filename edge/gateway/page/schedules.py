"""Periodic jobs: what each does, when it is due next, and what became of its last slots."""

from __future__ import annotations

import re
import secrets
from datetime import datetime

from aiohttp import web

from edge.gateway.http.problems import BadRequest
from edge.gateway.page.rendering import Rendering, see
from edge.gateway.page.visit import Visit
from edge.gateway.service import Appliance
from edge.ledger.schedules import ScheduleRow

_PAGE = 100
_MAX_BYTES = 4096
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
#: Sent with the form, so that the same press of a button makes one job.
_KEY = re.compile(r"[0-9a-f]{32}")


class SchedulesView:
    """`/schedules` and below. Schedules are made by `edge schedule` and `PUT /v1/schedules`."""

    def __init__(self, appliance: Appliance, rendering: Rendering) -> None:
        self._appliance, self._rendering = appliance, rendering

    async def show(self, visit: Visit) -> web.StreamResponse:
        """Answer with a page of the list."""
        after = visit.query().get("after", "")
        if after and not _NAME.fullmatch(after):
            raise BadRequest(f"after {after[:40]!r}: expected the name that the page before gave")
        page = await self._appliance.schedules.page(visit.caller, after=after, limit=_PAGE)
        return self._rendering.page(visit, "schedules.html", page=page, moment=_moment)

    async def one(self, visit: Visit) -> web.StreamResponse:
        """Answer with a schedule."""
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
        """Make a job of it now, outside its slots."""
        key = (await visit.form(max_bytes=_MAX_BYTES)).get("key", "")
        job, _ = await self._appliance.schedules.run_now(
            self._row(visit, change=True), f"page-{key}" if _KEY.fullmatch(key) else ""
        )
        return see(f"/jobs/{job.id}")

    async def pause(self, visit: Visit) -> web.StreamResponse:
        """Pause it: skip its slots from now on."""
        return await self._pause(visit, paused=True)

    async def resume(self, visit: Visit) -> web.StreamResponse:
        """End its pause: its slots run again."""
        return await self._pause(visit, paused=False)

    async def remove(self, visit: Visit) -> web.StreamResponse:
        """Remove it; the jobs that it made stay."""
        await visit.form(max_bytes=_MAX_BYTES)
        await self._appliance.schedules.drop(self._row(visit, change=True))
        return see("/schedules")

    async def _pause(self, visit: Visit, *, paused: bool) -> web.StreamResponse:
        await visit.form(max_bytes=_MAX_BYTES)
        row = await self._appliance.schedules.pause(self._row(visit, change=True), paused=paused)
        return see(f"/schedules/{row.name}")

    def _row(self, visit: Visit, *, change: bool = False) -> ScheduleRow:
        return self._appliance.schedules.find(visit.path, visit.caller, change=change)


def _moment(text: str) -> float | None:
    """Seconds since the epoch of an RFC 3339 time; None where it is none."""
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        return None
