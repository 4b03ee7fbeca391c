"""Handles accepted jobs: lists and shows them, waits for results, sends files, cancels and removes."""

from __future__ import annotations

import asyncio
import math
from enum import StrEnum
from hashlib import sha256
from http import HTTPStatus
from typing import Annotated

import msgspec
from aiohttp import ETag, web
from msgspec import UNSET, Meta, UnsetType

from edge.core.errors import UnknownFile
from edge.gateway.http import bodies, files
from edge.gateway.http.problems import BadRequest, Forbidden
from edge.gateway.http.route import JSON, Call
from edge.gateway.service import Appliance
from edge.model import JobState
from edge.wire import JobPatch

_PATCH_BYTES, _PATCH_S = 1024, 30.0

_encode = msgspec.json.Encoder().encode


class ListQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which jobs to list."""

    state: Annotated[JobState, Meta(description="only jobs in this state")] | UnsetType = UNSET
    task: Annotated[str, Meta(description="only jobs of this task", min_length=1, max_length=128)] | UnsetType = UNSET
    limit: Annotated[int, Meta(description="how many at most", ge=1, le=500)] = 50
    cursor: Annotated[str, Meta(description="`next` of the page before", pattern=r"^[1-9][0-9]{0,17}$")] | UnsetType = (
        UNSET
    )


class ChildQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which page of the jobs that a job spawned."""

    limit: Annotated[int, Meta(description="how many at most", ge=1, le=500)] = 50
    cursor: Annotated[str, Meta(description="`next` of the page before", pattern=r"^[0-9]{1,18}$")] | UnsetType = UNSET


class FollowerQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which page of the jobs that run after a job."""

    limit: Annotated[int, Meta(description="how many at most", ge=1, le=500)] = 50
    cursor: (
        Annotated[str, Meta(description="`next` of the page before", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")]
        | UnsetType
    ) = UNSET


class WaitQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long to wait for a result."""

    wait: Annotated[float, Meta(description="seconds to wait for the result, limited to gateway.max_wait_s", ge=0)] = (
        0.0
    )


class Which(StrEnum):
    """Jobs without a result (open), or jobs with a result (final)."""

    OPEN = "open"
    FINAL = "final"


class EndQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """In which state the client expects the job."""

    if_state: (
        Annotated[Which, Meta(description="`open`: only cancel; `final`: only remove; in any other state answer 409")]
        | UnsetType
    ) = UNSET


class JobRoutes:
    """Handles the requests about jobs that were accepted before. Runs on the event loop."""

    def __init__(self, appliance: Appliance) -> None:
        self._appliance = appliance
        self._max_wait_s = appliance.config.gateway.max_wait_s

    async def list(self, call: Call) -> web.StreamResponse:
        """Answer with a page of jobs, newest first."""
        query: ListQuery = call.query
        page = await self._appliance.page(
            call.caller,
            state=query.state or None,
            task=query.task or None,
            before_seq=int(query.cursor) if query.cursor else None,
            limit=query.limit,
        )
        return web.Response(body=_encode(page), content_type=JSON)

    async def show(self, call: Call) -> web.StreamResponse:
        """Answer with one job: its state, its times, why it waits, its progress."""
        job = self._appliance.job(call.request.match_info["id"], call.caller)
        return web.Response(body=_encode(await self._appliance.view(job)), content_type=JSON)

    async def children(self, call: Call) -> web.StreamResponse:
        """Answer with a page of the jobs that the body of a job spawned, in their order. Works while it runs, too."""
        job = self._appliance.job(call.request.match_info["id"], call.caller)
        query: ChildQuery = call.query
        after = int(query.cursor) if query.cursor else -1
        page = await self._appliance.children(job, call.caller, after=after, limit=query.limit)
        return web.Response(body=_encode(page), content_type=JSON)

    async def followers(self, call: Call) -> web.StreamResponse:
        """Answer with a page of the jobs that run after a job, sorted by id."""
        job = self._appliance.job(call.request.match_info["id"], call.caller)
        query: FollowerQuery = call.query
        page = await self._appliance.followers(job, call.caller, after=query.cursor or "", limit=query.limit)
        return web.Response(body=_encode(page), content_type=JSON)

    async def result(self, call: Call) -> web.StreamResponse:
        """Answer with the result, or with 202 and the state of the job if it does not end within `wait` seconds."""
        job = self._appliance.job(call.request.match_info["id"], call.caller)
        wait: float = call.query.wait
        if not math.isfinite(wait):
            raise BadRequest(f"query wait = {wait}: expected a number of seconds")
        payload = await self._appliance.payload(job, wait_s=min(wait, self._max_wait_s))
        if payload is None:
            view = await self._appliance.view(self._appliance.job(job.id, call.caller))
            return web.Response(status=HTTPStatus.ACCEPTED, body=_encode(view), content_type=JSON)
        etag = ETag(sha256(payload).hexdigest())
        headers = {"ETag": f'"{etag.value}"', "Cache-Control": "private, no-cache"}
        if any(given.value in {"*", etag.value} for given in call.request.if_none_match or ()):
            return web.Response(status=HTTPStatus.NOT_MODIFIED, headers=headers)
        return web.Response(body=payload, content_type=JSON, headers=headers)

    async def file(self, call: Call) -> web.StreamResponse:
        """Send a file that the job left: all of it, or one range."""
        job = self._appliance.job(call.request.match_info["id"], call.caller)
        name = call.request.match_info["name"]
        results = self._appliance.results
        result = await asyncio.to_thread(results.read, job.id) if job.state.final else None
        by_name = {file.name: file for file in result.files} if result else {}
        if result is None or name not in by_name:
            raise UnknownFile(job.id, name, list(by_name))
        try:
            return await files.send(call.request, results.artifact(result, name), by_name[name])
        except FileNotFoundError as err:
            raise UnknownFile(job.id, name, []) from err  # the job was removed at this moment

    async def change(self, call: Call) -> web.StreamResponse:
        """Give an open job another priority. Raises Forbidden, WrongState, BadRequest."""
        job = self._appliance.job(call.request.match_info["id"], call.caller)
        if not call.caller.may_end(job.submitter):
            raise Forbidden(f"token {call.caller.name!r} may change only its own jobs")
        content = await bodies.read(call.request, (JSON,), max_bytes=_PATCH_BYTES, max_s=_PATCH_S)
        view = await self._appliance.reprioritise(job, bodies.decode(content, JobPatch).priority)
        return web.Response(body=_encode(view), content_type=JSON)

    async def end(self, call: Call) -> web.StreamResponse:
        """Cancel a job that waits or runs, or remove a job that has ended. Raises Forbidden, WrongState."""
        job = self._appliance.job(call.request.match_info["id"], call.caller)
        if not call.caller.may_end(job.submitter):
            raise Forbidden(f"token {call.caller.name!r} may end only its own jobs")
        which: Which | UnsetType = call.query.if_state
        view = await self._appliance.endings.end(
            job, if_open=which is not Which.FINAL, if_final=which is not Which.OPEN
        )
        if view is None:
            return web.Response(status=HTTPStatus.NO_CONTENT)
        return web.Response(status=HTTPStatus.ACCEPTED, body=_encode(view), content_type=JSON)
