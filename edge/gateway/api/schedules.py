"""Handles periodic jobs: lists, stores, shows, runs, pauses and removes schedules (`/v1/schedules`)."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Annotated

import msgspec
from aiohttp import web
from msgspec import UNSET, Meta, UnsetType

from edge.gateway.api.submit import JOB_MEDIA, idempotency_key
from edge.gateway.http import bodies
from edge.gateway.http.route import JSON, Call
from edge.gateway.service import Appliance
from edge.gateway.views import Views
from edge.ledger.schedules import ScheduleRow
from edge.model import Schedule

_BODY_S = 30.0
_SMALL_BYTES = 4096  # as in `submit`: a larger body is checked in a thread
_NOTHING_BYTES = 1024

_BROWSER_HEADERS = ("Origin", "Sec-Fetch-Site")

_encode = msgspec.json.Encoder().encode


class ScheduleQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which page of the schedules."""

    limit: Annotated[int, Meta(description="how many at most", ge=1, le=500)] = 50
    cursor: (
        Annotated[str, Meta(description="`next` of the page before", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
        | UnsetType
    ) = UNSET


class Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An empty object. A browser must send it, because a page of another site cannot make a browser send JSON."""


class ScheduleRoutes:
    """Handles the requests about schedules. Runs on the event loop."""

    def __init__(self, appliance: Appliance) -> None:
        self._appliance = appliance
        self._max_bytes = appliance.config.gateway.max_body_bytes

    async def put(self, call: Call) -> web.StreamResponse:
        """Store a schedule. Answer 201 if it is new, 200 if it replaces an earlier one."""
        name = call.request.match_info["schedule"]
        content = await bodies.read(call.request, JOB_MEDIA, max_bytes=self._max_bytes, max_s=_BODY_S)

        def checked() -> ScheduleRow:
            return self._appliance.schedules.checked(name, bodies.decode(content, Schedule), call.caller)

        row = checked() if len(content) <= _SMALL_BYTES else await asyncio.to_thread(checked)
        stored, created = await self._appliance.schedules.put(row, call.caller)
        return self._shown(stored, HTTPStatus.CREATED if created else HTTPStatus.OK)

    async def list(self, call: Call) -> web.StreamResponse:
        """Answer with a page of schedules, sorted by name."""
        query: ScheduleQuery = call.query
        page = await self._appliance.schedules.page(call.caller, after=query.cursor or "", limit=query.limit)
        return web.Response(body=_encode(page), content_type=JSON)

    async def show(self, call: Call) -> web.StreamResponse:
        """Answer with one schedule: its job, its next times, and the fate of its last slots."""
        return self._shown(self._row(call))

    async def remove(self, call: Call) -> web.StreamResponse:
        """Remove a schedule. The jobs that it has made stay."""
        await self._appliance.schedules.drop(self._row(call, change=True))
        return web.Response(status=HTTPStatus.NO_CONTENT)

    async def run(self, call: Call) -> web.StreamResponse:
        """Make a job of a schedule now, outside its slots."""
        key = idempotency_key(call.request)
        await self._nothing(call)
        job, created = await self._appliance.schedules.run_now(self._row(call, change=True), key)
        return web.Response(
            status=HTTPStatus.ACCEPTED if created else HTTPStatus.OK,
            body=_encode(Views(self._appliance.board).of(job)),
            content_type=JSON,
            headers={"Location": f"/v1/jobs/{job.id}"},
        )

    async def pause(self, call: Call) -> web.StreamResponse:
        """Pause a schedule: its slots are skipped from now on."""
        await self._nothing(call)
        return self._shown(await self._appliance.schedules.pause(self._row(call, change=True), paused=True))

    async def resume(self, call: Call) -> web.StreamResponse:
        """End the pause of a schedule: its slots run again."""
        await self._nothing(call)
        return self._shown(await self._appliance.schedules.pause(self._row(call, change=True), paused=False))

    def _row(self, call: Call, *, change: bool = False) -> ScheduleRow:
        return self._appliance.schedules.find(call.request.match_info["schedule"], call.caller, change=change)

    def _shown(self, row: ScheduleRow, status: HTTPStatus = HTTPStatus.OK) -> web.Response:
        return web.Response(status=status, body=_encode(self._appliance.schedules.view(row)), content_type=JSON)

    @staticmethod
    async def _nothing(call: Call) -> None:
        headers = call.request.headers
        if not call.request.can_read_body and not any(name in headers for name in _BROWSER_HEADERS):
            return
        content = await bodies.read(call.request, JOB_MEDIA, max_bytes=_NOTHING_BYTES, max_s=_BODY_S)
        bodies.decode(content or b"{}", Nothing)
