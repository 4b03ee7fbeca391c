"""Handles the requests of nodes, the boards that work for this one: files, results, attempts, spawned jobs."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, TypeVar

import msgspec
from aiohttp import web
from msgspec import Meta

from edge.core.errors import StorageError, WrongState
from edge.gateway.api.output import StreamName
from edge.gateway.http import bodies
from edge.gateway.http.problems import BadRequest, Busy, TooLarge, TooSlow, WrongType
from edge.gateway.http.route import JSON, OCTETS, Call
from edge.gateway.node_output import PIECE_BYTES
from edge.gateway.service import Appliance
from edge.model import MOST_CHILDREN, Attempts, HeadBacklog, NodeAway, Result, SpawnedJobs, check_job_id
from edge.results.orders import Order, Orders
from edge.results.staging import check_artifact_name
from edge.results.uploads import Uploads

_JSON_S, _FILE_S = 60.0, 1800.0
_CHUNK = 1 << 18
_AWAY_BYTES = 1024
#: How long a worker may take to copy a node's result and sync it.
_TAKEN_S = 100.0
#: Bytes of the id of a spawned job in a list of JSON.
_CHILD_BYTES = 39
T = TypeVar("T")


class AttemptQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """To which attempt the upload belongs. Two boards that run the same job at once must not mix their files."""

    attempt: Annotated[str, Meta(description="made up by the node for each attempt", pattern="^[0-9a-f]{8}$")]


class PrintedQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which part of the output of a running program the body is."""

    attempt: Annotated[str, Meta(description="made up by the node for each attempt", pattern="^[0-9a-f]{8}$")]
    stream: Annotated[StreamName, Meta(description="`stdout` or `stderr`")] = StreamName.STDOUT
    offset: Annotated[int, Meta(description="offset of the first byte in the stream", ge=0, le=1 << 53)] = 0


class NodeRoutes:
    """Handles the requests of boards with a token of scope `node`. Runs on the event loop; threads write the files."""

    def __init__(self, appliance: Appliance) -> None:
        """Remove the uploads from before this start. Their nodes send them again. Raises StorageError."""
        self._appliance = appliance
        config = appliance.config
        self._uploads, self._orders = Uploads(config.layout), Orders(config.layout)
        try:
            self._uploads.clear()
        except OSError as err:
            raise StorageError("cannot clear what nodes handed in", err) from err
        self._max_files_bytes = config.worker.max_artifact_bytes
        # A result holds the value, the job's arguments, a list of files, its children, and perhaps a traceback.
        rest = (1 << 20) + MOST_CHILDREN * _CHILD_BYTES
        self._max_bytes = config.worker.max_result_bytes + config.gateway.max_body_bytes + rest

    async def file(self, call: Call) -> web.StreamResponse:
        """Keep a file until the result arrives that names it."""
        job_id = check_job_id(call.request.match_info["id"])
        if call.request.content_type != OCTETS:
            raise WrongType(f"Content-Type {call.request.content_type[:80]!r}: this route reads {OCTETS}")
        try:
            name = check_artifact_name(call.request.match_info["name"])
        except ValueError as err:
            raise BadRequest(str(err)) from err
        try:
            await asyncio.to_thread(self._uploads.tidy, self._appliance.results.has)
            folder = self._uploads.folder(job_id, call.query.attempt)
            await self._receive(call.request, folder / name)
        except TimeoutError as err:
            raise TooSlow(f"the file did not arrive within {_FILE_S:g} s") from err
        except web.RequestPayloadError as err:
            raise BadRequest(f"the file cannot be read: {err}") from err
        except ConnectionError:
            raise  # the node has gone, so there is nobody to answer
        except OSError as err:
            raise StorageError("cannot take a file", err) from err
        return web.Response(status=HTTPStatus.NO_CONTENT)

    async def _receive(self, request: web.Request, path: Path) -> None:
        left_bytes = self._max_files_bytes - sum(
            other.stat().st_size for other in path.parent.iterdir() if other != path
        )
        try:
            with path.open("wb") as file:
                async with asyncio.timeout(_FILE_S):
                    async for chunk in request.content.iter_chunked(_CHUNK):
                        left_bytes -= len(chunk)
                        if left_bytes < 0:
                            raise TooLarge(f"the files have more bytes than {self._max_files_bytes}, the limit")
                        await asyncio.to_thread(file.write, chunk)
        except BaseException:
            path.unlink(missing_ok=True)
            raise

    async def result(self, call: Call) -> web.StreamResponse:
        """Accept a result. Answer when the job has its durable result. Raises BadRequest, Busy, StorageError."""
        result = await self._read(call, Result)
        if not result.state.final:
            raise BadRequest(f"state: {result.state} is not a final state")
        try:
            await self._take(result, call.query.attempt)
        except OSError as err:
            raise StorageError("cannot take a result", err) from err
        finally:
            await asyncio.to_thread(self._uploads.drop, result.id, call.query.attempt)
        self._appliance.node_output.drop(result.id)
        return web.Response(status=HTTPStatus.NO_CONTENT)

    async def _take(self, result: Result, attempt: str) -> None:
        """Order a worker to publish the result, because the gateway writes no results.

        On return the job has a durable result. Raises Busy if no worker takes the order in time.
        """
        results, waiters = self._appliance.results, self._appliance.waiters
        if not results.has(result.id):
            await asyncio.to_thread(self._uploads.lay, result, attempt)
            with waiters.expecting(result.id) as ended:
                self._orders.give(Order.TAKE, result.id)
                await asyncio.wait([ended], timeout=_TAKEN_S)
        if not results.has(result.id):
            raise Busy(f"no worker of this board took the result over within {_TAKEN_S:g} s", retry_after_s=10)
        await asyncio.to_thread(results.confirm, result.id)

    async def attempts(self, call: Call) -> web.StreamResponse:
        """Record a failed attempt with retries left. Answer when the retry is durable in the ledger."""
        attempts = await self._read(call, Attempts)
        await self._appliance.outbox.retry(attempts.id, failures=attempts.failures, message=attempts.last_error)
        self._appliance.node_output.drop(attempts.id)
        return web.Response(status=HTTPStatus.NO_CONTENT)

    async def output(self, call: Call) -> web.StreamResponse:
        """Keep a part of what the program of a running job has printed. Answer when the next part may be sent."""
        job_id = check_job_id(call.request.match_info["id"])
        data = await bodies.read(call.request, (OCTETS,), max_bytes=PIECE_BYTES, max_s=_JSON_S)
        job = self._appliance.outbox.reader.get(job_id)
        if job.state.final:
            raise WrongState(f"job {job_id} has ended")
        query: PrintedQuery = call.query
        pause_s = self._appliance.node_output.take(
            call.caller.name, job_id, data, attempt=query.attempt, stream=query.stream.value, offset=query.offset
        )
        return web.Response(status=HTTPStatus.NO_CONTENT, headers={"Edge-Pause": f"{pause_s:g}"})

    async def spawned(self, call: Call) -> web.StreamResponse:
        """Accept the jobs that a body spawned. Answer when they are durable in the ledger."""
        spawned = await self._read(call, SpawnedJobs)
        for job in spawned.jobs:
            if bool(job.key) == bool(job.call):
                raise BadRequest(f"jobs: key {job.key[:80]!r} with call = {job.call}: each job has one of the two")
        await self._appliance.take_spawned(spawned)
        return web.Response(status=HTTPStatus.NO_CONTENT)

    async def away(self, call: Call) -> web.StreamResponse:
        """Keep the time at which a node that goes to sleep will be awake again."""
        content = await bodies.read(call.request, (JSON,), max_bytes=_AWAY_BYTES, max_s=_JSON_S)
        self._appliance.away.note(call.caller.name, bodies.decode(content, NodeAway).awake_at)
        return web.Response(status=HTTPStatus.NO_CONTENT)

    async def backlog(self, _call: Call) -> web.StreamResponse:
        """Answer with the number of open jobs of each kind, for a node that scales its workers."""
        outbox = self._appliance.outbox
        rows = outbox.backlog.rows(await outbox.look(lambda reader: reader.open_kinds()))
        return web.Response(body=msgspec.json.encode(HeadBacklog(tuple(rows))), content_type=JSON)

    async def _read(self, call: Call, kind: type[T]) -> T:
        """Return the decoded body. Raises BadRequest, and the errors of `bodies.read`.

        It does not use `bodies.decode`, because the numbers must stay exactly as the worker wrote them.
        """
        job_id = check_job_id(call.request.match_info["id"])
        content = await bodies.read(call.request, (JSON,), max_bytes=self._max_bytes, max_s=_JSON_S)
        try:
            found = msgspec.json.decode(content, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as err:
            raise BadRequest(f"the body is not a valid {kind.__name__}: {err}") from err
        given: str = found.id  # type: ignore[attr-defined]
        if given != job_id:
            raise BadRequest(f"id: {given[:80]!r} is not the job of this address")
        return found
