"""Describes a route as data. The router, the check of the input, and the OpenAPI document are made from it."""

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
READERS = frozenset(Scope) - {Scope.NODE}  # `submit` may use these routes too, but sees only its own jobs
NODES = frozenset({Scope.NODE})
WATCHERS = frozenset({Scope.READ, Scope.ADMIN})
ADMINS = frozenset({Scope.ADMIN})
SUBMITTERS = SUBMITTING | {Scope.ADMIN}


class NoQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The query of a route without parameters."""


@dataclass(frozen=True)
class Body:
    """The body that a route reads: its record and its media types. The document names the first type."""

    kind: type
    media: tuple[str, ...]
    description: str = ""
    required: bool = True


@dataclass(frozen=True)
class Header:
    """A request header that a route reads, with its JSON Schema."""

    name: str
    schema: JsonObject
    description: str


@dataclass(frozen=True)
class Answer:
    """One successful answer of a route."""

    status: HTTPStatus
    description: str
    kind: type | None = None  # the record in the body; None if there is no body, or if `media` describes it
    media: str = JSON
    headers: dict[str, str] = field(default_factory=dict)  # name -> description
    sometimes: dict[str, str] = field(default_factory=dict)  # headers that only some answers have


@dataclass(frozen=True)
class Call:
    """One request for a handler, with its caller and its decoded query."""

    request: web.Request
    caller: Caller
    query: Any  # an instance of the route's `query`; its handler knows the type


Handler = Callable[[Call], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class Route:
    """One method on one path.

    Any one of `scopes` is enough to use the route. Without scopes, it needs no token. `problems` are the statuses of
    its refusals, in addition to the statuses that every route has (400 for the query, 401, 403).
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
    waits: bool = False  # the handler calls `proceed` before it reads, so a client need not send a body that is refused

    def bind(self, router: web.UrlDispatcher, authenticator: Authenticator) -> None:
        """Add the route to aiohttp's router. Each request passes the authenticator first."""

        async def handle(request: web.Request) -> web.StreamResponse:
            caller = authenticator.caller(request, self.scopes) if self.scopes else NOBODY
            return await self.handler(Call(request, caller, read_query(request, self.query)))

        # `/v1/jobs/batch` is not a job. Without this the router would also accept GET and DELETE for it.
        path = self.path.replace("{id}", "{id:(?!batch$)[^/]+}")
        if self.method == hdrs.METH_GET:
            router.add_get(path, handle)  # adds HEAD, too
        else:
            router.add_route(self.method, path, handle, expect_handler=_expect_later if self.waits else None)


async def proceed(request: web.Request) -> None:
    """Send `100 Continue` to a client that waits for it before it sends its body.

    Handlers of routes with `waits` call it once, before they read the body.
    """
    if request.headers.get(hdrs.EXPECT, "").lower() == _CONTINUE and request.version >= HttpVersion11:
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # the answer itself has not begun


async def _expect_later(request: web.Request) -> None:
    """Leave `100 Continue` to the handler. For any other Expect header, raise HTTPExpectationFailed as aiohttp does."""
    expect = request.headers.get(hdrs.EXPECT, "")
    if expect.lower() != _CONTINUE:
        raise web.HTTPExpectationFailed(text=f"Unknown Expect: {expect[:80]}")


#: The caller of a route that needs no token.
NOBODY = Caller("", frozenset())


def read_query(request: web.Request, kind: type) -> object:
    """Return the query decoded as a `kind`. Raises BadRequest, which names the parameter, its value and the rule.

    The default of an optional parameter in `kind` is UNSET. None would be ambiguous, because msgspec decodes the text
    "null" as None.
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
    """Return msgspec's message about the member `name` of `kind` as the end of a sentence that says what is allowed."""
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
    """Return the message of a library as the end of one of our sentences: one line, without backticks."""
    text = " ".join(what.replace("`", "").split())
    return text if text[:2].isupper() else text[:1].lower() + text[1:]  # words such as JSON keep their capitals
