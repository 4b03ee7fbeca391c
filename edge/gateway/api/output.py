"""Sends what the program of a job prints, from any byte on and while it prints: `GET /v1/jobs/ID/output`."""

from __future__ import annotations

import asyncio
from contextlib import closing, suppress
from enum import StrEnum
from functools import partial
from typing import Annotated

import msgspec
from aiohttp import hdrs, web
from msgspec import Meta

from edge.core.errors import TornResult
from edge.core.watch import CHANGED, On, Watch
from edge.gateway.http.problems import Busy
from edge.gateway.http.route import Call
from edge.gateway.service import Appliance
from edge.ledger.rows import JobRow
from edge.results.kept_output import kept
from edge.results.output import OutputFiles, Run

#: Largest number of outputs that clients follow at once.
_MOST_FOLLOWERS = 32
_SLOW_S = 30.0
_HEADERS = {"X-Accel-Buffering": "no", "X-Content-Type-Options": "nosniff", hdrs.CACHE_CONTROL: "no-store"}


class StreamName(StrEnum):
    """An output stream of a program."""

    STDOUT = "stdout"
    STDERR = "stderr"


class OutputQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which bytes of which stream to send."""

    stream: Annotated[StreamName, Meta(description="`stdout` or `stderr`")] = StreamName.STDOUT
    offset: Annotated[int, Meta(description="first byte wanted", ge=0, le=1 << 53)] = 0
    follow: Annotated[bool, Meta(description="wait for more until the job has ended")] = False


class OutputRoutes:
    """Handles requests for a job's output. Runs on the event loop; files are read in threads."""

    def __init__(self, appliance: Appliance) -> None:
        self._appliance = appliance
        self._max_s = appliance.config.gateway.max_wait_s
        self._followed = 0

    async def show(self, call: Call) -> web.StreamResponse:
        """Send the output so far. With `follow`, send also new output until the job ends. Raises Busy."""
        job = self._appliance.job(call.request.match_info["id"], call.caller)
        query: OutputQuery = call.query
        layout = self._appliance.config.layout
        # Of an ended job on a node the result has all output; the node may have sent only a part of it before.
        others = () if job.state.final else (layout.node_output,)
        files = OutputFiles(layout.output, job.id, others=others)
        if query.follow and not job.state.final and call.request.method != hdrs.METH_HEAD:
            if self._followed >= _MOST_FOLLOWERS:
                raise Busy(f"{_MOST_FOLLOWERS} outputs are followed already", retry_after_s=10)
            self._followed += 1
            try:
                with self._appliance.node_output.followed(job.id):
                    return await self._follow(call.request, job, files, query)
            finally:
                self._followed -= 1
        found = await asyncio.to_thread(files.read, query.stream, query.offset)
        if found is None and job.state.final:
            found = await asyncio.to_thread(self._kept, job, query.stream, query.offset)
        found = found or Run(query.offset, b"")
        headers = _HEADERS | {"Edge-Offset": str(found.offset)}
        if found.next is not None:
            headers["Edge-Next"] = str(found.next)
        return web.Response(body=found.data, content_type="text/plain", charset="utf-8", headers=headers)

    async def _follow(
        self, request: web.Request, job: JobRow, files: OutputFiles, query: OutputQuery
    ) -> web.StreamResponse:
        """Send present and new output until there is a gap, the job ends, or the longest wait is over."""
        loop = asyncio.get_running_loop()
        changed = asyncio.Event()
        response = web.StreamResponse(headers=_HEADERS)
        response.content_type, response.charset = "text/plain", "utf-8"
        offset = query.offset
        layout = self._appliance.config.layout
        for root in (layout.output, layout.node_output):
            with suppress(OSError):  # on an appliance the folder exists already
                await asyncio.to_thread(partial(root.mkdir, mode=0o750, parents=True, exist_ok=True))
        with closing(Watch()) as watch, self._appliance.waiters.expecting(job.id) as ended:
            loop.add_reader(watch, changed.set)
            ended.add_done_callback(lambda _: changed.set())
            timer = loop.call_later(self._max_s, changed.set)
            ends_at = loop.time() + self._max_s
            try:
                while True:
                    changed.clear()
                    watch.read()
                    over = ended.done() or files.has_ended or loop.time() >= ends_at
                    found = await asyncio.to_thread(_look, watch, files, query.stream, offset)
                    if found is not None:
                        if not response.prepared:
                            response.headers["Edge-Offset"] = str(found.offset)
                            await response.prepare(request)
                        elif found.offset > offset:
                            break  # a gap: the client asks again and gets the offset behind it
                        await asyncio.wait_for(response.write(found.data), _SLOW_S)
                        offset = found.offset + len(found.data)
                        if found.next is not None:
                            break
                    elif not response.prepared:
                        response.headers["Edge-Offset"] = str(offset)
                        await response.prepare(request)
                    if over:
                        if ended.done():
                            await self._rest(response, job, query.stream, offset)
                        break
                    await changed.wait()
            except TimeoutError as err:
                raise ConnectionResetError("a reader of output was too slow") from err
            finally:
                timer.cancel()
                loop.remove_reader(watch)
        await response.write_eof()
        return response

    async def _rest(self, response: web.StreamResponse, job: JobRow, stream: StreamName, offset: int) -> None:
        """Send what a job on a node has printed since the node sent its output last. The result has it."""
        found = await asyncio.to_thread(self._kept, job, stream, offset)
        if found is not None and found.data and found.offset == offset:
            await asyncio.wait_for(response.write(found.data), _SLOW_S)

    def _kept(self, job: JobRow, stream: StreamName, offset: int) -> Run | None:
        """Return the output that the result keeps: a file if the output was long, otherwise its last lines."""
        results = self._appliance.results
        try:
            result = results.read(job.id)
        except (TornResult, OSError):
            return None
        return None if result is None else kept(results, result, str(stream), offset)


def _look(watch: Watch, files: OutputFiles, stream: str, offset: int) -> Run | None:
    """Add the watches, then read the output. In this order no write is missed. Runs in a thread."""
    for folder in files.watched(stream):
        try:
            watch.add(folder, on=CHANGED | On.CREATED | On.MODIFIED)
        except OSError:  # the folder was removed at this moment
            continue
    return files.read(stream, offset)
