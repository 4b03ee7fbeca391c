"""A route as data: the router, the check of what comes in, and the OpenAPI document are all made from it."""

from __future__ import annotations

import typing
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import StrEnum
from http import HTTPStatus
from typing import Any

import msgspec
from aiohttp import HttpVersion11, hdrs, web

from edge.access.tokens import Scope
from edge.core.values import JsonObject
from edge.gateway.http.auth import SUBMITTING, Authenticator, Caller
from edge.gateway.http.problems import BadRequest
from edge.model import SHA256_PATTERN

JSON = "application/json"
NDJSON = "application/x-ndjson"
OCTETS = "application/octet-stream"
EVENT_STREAM = "text/event-stream"
_CONTINUE = "100-continue"

ANYONE: frozenset[Scope] = frozenset()
READERS = frozenset(Scope) - {Scope.NODE}  # `submit` sees less, but it may look
NODES = frozenset({Scope.NODE})
WATCHERS = frozenset({Scope.READ, Scope.ADMIN})
ADMINS = frozenset({Scope.ADMIN})
SUBMITTERS = SUBMITTING | {Scope.ADMIN}


class NoQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The query of a route that takes none."""


@dataclass(frozen=True)
class Body:
    """What a route reads: its media types (the first one is the documented one) and its record."""

    kind: type
    media: tuple[str, ...]
    description: str = ""
    required: bool = True


@dataclass(frozen=True)
class Header:
    """A request header a route reads, with its JSON Schema."""

    name: str
    schema: JsonObject
    description: str


@dataclass(frozen=True)
class Answer:
    """One way a route answers when all is well."""

    status: HTTPStatus
    description: str
    kind: type | None = None  # a record; None: no body, or `media` says what it is
    media: str = JSON
    headers: dict[str, str] = field(default_factory=dict)  # name -> description
    sometimes: dict[str, str] = field(default_factory=dict)  # headers that not each answer has


@dataclass(frozen=True)
class Call:
    """One request on its way to a handler: who asks, and the query as the route's own record."""

    request: web.Request
    caller: Caller
    query: Any  # a record of the route's own `query`; its handler knows which


Handler = Callable[[Call], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class Route:
    """One method on one path. `scopes`: any one of them opens it; none: no token is asked for.

    `problems` are the statuses it may refuse with beside those every route has (400 for the query, 401, 403).
    """

    method: str
    path: str
    summary: str
    handler: Handler
    scopes: frozenset[Scope]
    answers: tuple[Answer, ...]
    query: type = NoQuery
    headers: tuple[Header, ...] = ()
    body: Body | None = None
    problems: tuple[HTTPStatus, ...] = ()
    waits: bool = False  # its handler calls `proceed` before it reads: what it refuses at once is not sent at all

    def bind(self, router: web.UrlDispatcher, door: Authenticator) -> None:
        """Put the route into aiohttp's router, behind the door."""

        async def handle(request: web.Request) -> web.StreamResponse:
            caller = door.caller(request, self.scopes) if self.scopes else NOBODY
            return await self.handler(Call(request, caller, read_query(request, self.query)))

        # `/v1/jobs/batch` is no job: without this the router would take GET and DELETE for it too.
        path = self.path.replace("{id}", "{id:(?!batch$)[^/]+}")
        if self.method == hdrs.METH_GET:
            router.add_get(path, handle)  # HEAD too
        else:
            router.add_route(self.method, path, handle, expect_handler=_expect_later if self.waits else None)


async def proceed(request: web.Request) -> None:
    """Tell a client that waits for it to send its body. For routes that wait, once, before the body is read."""
    if request.headers.get(hdrs.EXPECT, "").lower() == _CONTINUE and request.version >= HttpVersion11:
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # the answer itself has not begun


async def _expect_later(request: web.Request) -> None:
    """Leave the answer to `Expect: 100-continue` to the handler. Raises HTTPExpectationFailed, as aiohttp does."""
    expect = request.headers.get(hdrs.EXPECT, "")
    if expect.lower() != _CONTINUE:
        raise web.HTTPExpectationFailed(text=f"Unknown Expect: {expect[:80]}")


#: The caller of a route that asks for no token.
NOBODY = Caller("", frozenset())


def read_query(request: web.Request, kind: type) -> object:
    """The query as a `kind`; raises BadRequest naming parameter, value and what is allowed.

    What may be left out is UNSET in `kind`: None would also be what msgspec makes of the word "null".
    """
    given: dict[str, str] = {}
    for name, value in request.query.items():
        if name in given:
            raise BadRequest(f"query {name[:80]!r} is given twice")
        given[name] = value
    fields = kind.__struct_fields__  # type: ignore[attr-defined]
    for name in given:
        if name not in fields:
            raise BadRequest(f"query {name[:80]!r} is unknown; allowed here: {', '.join(fields) or 'none'}")
    try:
        return msgspec.convert(given, kind, strict=False)
    except msgspec.ValidationError as err:
        what, _, where = str(err).partition(" - at `$.")
        name = where.rstrip("`")
        raise BadRequest(f"query {name} = {given.get(name, '')[:80]!r}: {allowed(what, kind, name)}") from err


def allowed(what: str, kind: type, name: str) -> str:
    """Return msgspec's message about the member `name` of `kind` as the tail of a sentence: what is allowed."""
    if what.startswith("Invalid enum value"):
        hints = [typing.get_type_hints(kind).get(name)]
        while hints:
            hint = hints.pop()
            if isinstance(hint, type) and issubclass(hint, StrEnum):
                return f"expected one of {', '.join(hint)}"
            hints += typing.get_args(hint)
    if SHA256_PATTERN in what:
        return "expected a SHA-256 of 64 of 0-9 a-f; write the hash in lower case"
    return plain(what)


def plain(what: str) -> str:
    """A library's message as the tail of one of our sentences."""
    text = " ".join(what.replace("`", "").split())
    return text if text[:2].isupper() else text[:1].lower() + text[1:]  # JSON stays JSON
