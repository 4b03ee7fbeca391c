"""Sends changes as they happen, as server-sent events: `GET /v1/events`."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from enum import StrEnum
from typing import Annotated, TypeVar

import msgspec
from aiohttp import hdrs, web
from msgspec import UNSET, Meta, UnsetType

from edge.core.errors import StorageError
from edge.core.values import JsonObject
from edge.gateway.background.journal import block_of
from edge.gateway.background.printed import Printed
from edge.gateway.background.readers import FellBehind, Reader, TooManyReaders, View
from edge.gateway.http.problems import BadRequest, Busy
from edge.gateway.http.route import EVENT_STREAM, Call
from edge.gateway.service import Appliance
from edge.model import JobState
from edge.wire import About, Event

LAST_EVENT_ID = "Last-Event-ID"
_ID = re.compile(r"[0-9a-f]{12}-[0-9]{1,15}")
_LONGEST_ID = 100
ID_SCHEMA: JsonObject = {"type": "string", "minLength": 1, "maxLength": _LONGEST_ID}
_MOST_VALUES = 100  # values in one filter
_JOB = "[A-Za-z0-9][A-Za-z0-9._-]{0,127}"
_KIND = "[A-Za-z_][A-Za-z0-9_.:-]{0,127}"
#: How often a stream without events sends a comment. The write fails if the reader has vanished without closing.
HEARTBEAT_S = 60.0
#: A reader that takes nothing from a write for this time is too slow.
_SLOW_S = 15.0
_LINGER_S = 30.0
_RETRY_MS = 1000
#: Largest number of readers that get output at once. Each needs its own inotify instance, and the kernel allows
#: a user only few.
_MOST_PRINTED = 32
_TOPICS = tuple(each for each in About if each not in {About.RESET, About.DROPPED})

T = TypeVar("T")


def _several(item: str) -> dict[str, str]:
    """Return the schema of a list of values that match `item`, separated by commas."""
    return {"pattern": f"^({item})(,({item})){{0,{_MOST_VALUES - 1}}}$"}


def _of(choices: Iterable[StrEnum]) -> dict[str, str]:
    return _several("|".join(choices))


class EventQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Filters events. Values are separated by commas.

    With `job`, `kind` or `state`, and without `about`, only job events are sent. Events about `output` are sent only
    if `about` names it.
    """

    job: Annotated[str, Meta(description="only these jobs", extra_json_schema=_several(_JOB))] | UnsetType = UNSET
    kind: (
        Annotated[str, Meta(description="only jobs of these kinds", extra_json_schema=_several(_KIND))] | UnsetType
    ) = UNSET
    state: (
        Annotated[str, Meta(description="only jobs in these states", extra_json_schema=_of(JobState))] | UnsetType
    ) = UNSET
    about: Annotated[str, Meta(description="only events about these", extra_json_schema=_of(_TOPICS))] | UnsetType = (
        UNSET
    )


class EventRoutes:
    """Handles the event stream. Runs on the event loop."""

    def __init__(self, appliance: Appliance) -> None:
        self._appliance = appliance
        self._max_s = appliance.config.gateway.max_wait_s
        self._printing = 0  # readers that get output now

    async def stream(self, call: Call) -> web.StreamResponse:
        """Send events until the reader disconnects, is too slow, or `gateway.max_wait_s` is over.

        Raises Busy, BadRequest, StorageError.
        """
        request = call.request
        view, after = view_of(call), last_event_id(request)
        response = web.StreamResponse(headers={"X-Accel-Buffering": "no"})
        response.content_type = EVENT_STREAM
        if request.method == hdrs.METH_HEAD:
            return web.Response(content_type=EVENT_STREAM)
        try:
            with (
                self._appliance.readers.reading(view, after) as (reader, missing),
                self._printed(view, reader) as printed,
            ):
                await response.prepare(request)
                await self._send(request, response, reader, printed, missing=missing)
        except TooManyReaders as err:
            raise Busy(str(err)) from err
        except OSError as err:
            if isinstance(err, ConnectionError):
                raise
            raise StorageError("cannot watch the status files", err) from err
        return response

    @contextmanager
    def _printed(self, view: View, reader: Reader) -> Iterator[Printed | None]:
        """Watch what programs print, if the filter of this reader names `output`. Raises Busy, OSError."""
        if About.OUTPUT not in view.about:
            yield None
            return
        if self._printing >= _MOST_PRINTED:
            raise Busy(f"{_MOST_PRINTED} readers are sent output already", retry_after_s=10)
        appliance = self._appliance

        def wanted(job_id: str) -> bool:
            row = appliance.outbox.reader.find(job_id)
            kind, submitter = ("", "") if row is None else (row.task, row.submitter)
            return view.shows_output(job_id, kind, submitter)

        self._printing += 1
        layout = appliance.config.layout
        try:
            with (
                appliance.node_output.followed(),
                closing(
                    Printed(layout.output, wanted=wanted, came=reader.wake, others=(layout.node_output,))
                ) as printed,
            ):
                yield printed
        finally:
            self._printing -= 1

    async def _send(
        self,
        request: web.Request,
        response: web.StreamResponse,
        reader: Reader,
        printed: Printed | None,
        *,
        missing: bool,
    ) -> None:
        def take() -> bytes:
            return reader.take() if printed is None else printed.take() + reader.take()

        loop = asyncio.get_running_loop()
        ends_at = loop.time() + self._max_s
        sent_at = loop.time()
        chunk = f"retry: {_RETRY_MS}\n".encode() + reader.mark()
        if missing:
            reset = Event(About.RESET, time.time(), reason="events are missing here: read the whole state again")
            chunk += block_of(reset, reader.id)
        with _woken_by_time(reader, ends_at):
            try:
                while True:
                    if chunk:
                        await self._write(request, response, chunk)
                        sent_at = loop.time()
                    elif reader.closed:
                        return
                    if loop.time() >= ends_at:
                        return
                    chunk = take()
                    if not chunk:
                        await reader.more()
                        chunk = take()
                        if not chunk and loop.time() - sent_at > HEARTBEAT_S / 2:
                            chunk = b":\n\n"
            except (FellBehind, TimeoutError) as err:
                why = str(err) or f"took nothing for {_SLOW_S:g} s"
                await self._drop(request, response, reason=f"too slow a reader: {why}; come back with {LAST_EVENT_ID}")

    @staticmethod
    async def _write(request: web.Request, response: web.StreamResponse, chunk: bytes) -> None:
        """Send `chunk`. Raises TimeoutError if the reader takes nothing for too long."""
        if request.transport is not None and not request.transport.get_write_buffer_size():
            await response.write(chunk)  # the empty buffer takes it at once, so no timer is needed
            return
        async with asyncio.timeout(_SLOW_S):
            await response.write(chunk)

    async def _drop(self, request: web.Request, response: web.StreamResponse, *, reason: str) -> None:
        """Tell a slow reader why, and close its connection without a wait. Always raises ConnectionResetError."""
        event = Event(About.DROPPED, time.time(), reason=reason)
        content = b"event: dropped\ndata: %b\n\n" % msgspec.json.encode(event)
        try:
            async with asyncio.timeout(0):  # the buffer takes it at once; do not wait until the reader has it
                await response.write(content)
        except TimeoutError:
            pass
        if request.transport is not None:
            request.transport.close()
            asyncio.get_running_loop().call_later(_LINGER_S, request.transport.abort)
        raise ConnectionResetError("a reader of events was too slow")


@contextmanager
def _woken_by_time(reader: Reader, ends_at: float) -> Iterator[None]:
    """Wake the reader when its time is over, and each minute. Two timers are enough for any number of events."""
    loop = asyncio.get_running_loop()
    end = timer = loop.call_at(ends_at, reader.wake)

    def beat() -> None:
        nonlocal timer
        reader.wake()
        timer = loop.call_later(HEARTBEAT_S, beat)

    timer = loop.call_later(HEARTBEAT_S, beat)
    try:
        yield
    finally:
        timer.cancel()
        end.cancel()


def view_of(call: Call) -> View:
    """Return the filter of a request, limited to the jobs that the caller may see. Raises BadRequest."""
    query: EventQuery = call.query
    jobs = _listed(query.job, "job", re.compile(_JOB))
    kinds = _listed(query.kind, "kind", re.compile(_KIND))
    states = _known(_listed(query.state, "state"), "state", {each.value: each for each in JobState})
    about = _known(_listed(query.about, "about"), "about", {each.value: each for each in _TOPICS})
    if not about and (jobs or kinds or states):
        about = frozenset({About.JOB})
    return View(about, jobs, kinds, states, None if call.caller.sees_all else call.caller.name)


def last_event_id(request: web.Request) -> tuple[str, int] | None:
    """Return boot and number of the last event that the reader has, or None if it has none. Raises BadRequest.

    An id that this gateway cannot have made counts as an id of an unknown boot, so that the reader gets a `reset`. If
    the answer were 400, a browser would never reconnect.
    """
    given = request.headers.getall(LAST_EVENT_ID, [])
    if not given:
        return None
    if len(given) > 1:
        raise BadRequest(f"{LAST_EVENT_ID} is given twice")
    if not 1 <= len(given[0]) <= _LONGEST_ID:
        raise BadRequest(f"{LAST_EVENT_ID} {given[0][:80]!r}: expected the id of an event, such as 0123456789ab-7")
    if not _ID.fullmatch(given[0]):
        return "", 0
    boot, _, number = given[0].partition("-")
    return boot, int(number)


def _listed(text: str | UnsetType, name: str, form: re.Pattern[str] | None = None) -> frozenset[str]:
    if isinstance(text, UnsetType):
        return frozenset()
    items = text.split(",")
    for item in items:
        if form is not None and not form.fullmatch(item):
            what = "ids of jobs" if name == "job" else "names of kinds of job"
            raise BadRequest(f"query {name} = {item[:80]!r}: expected {what}, separated by commas")
    if len(items) > _MOST_VALUES:
        raise BadRequest(f"query {name}: {len(items)} values; at most {_MOST_VALUES} are taken")
    return frozenset(items)


def _known(items: frozenset[str], name: str, allowed: dict[str, T]) -> frozenset[T]:
    for item in sorted(items):
        if item not in allowed:
            raise BadRequest(f"query {name} = {item[:80]!r}: expected one of {', '.join(allowed)}")
    return frozenset(allowed[item] for item in items)
