"""The routes of pairing: a machine asks and shows a code, and an admin confirms that code."""

from __future__ import annotations

import time
from http import HTTPStatus
from typing import Annotated

import msgspec
from aiohttp import web
from msgspec import UNSET, Meta, UnsetType

from edge.access.pairing import Outcome, Pairing, UnknownPairing
from edge.access.tokens import Scope
from edge.core.errors import UsageError
from edge.gateway.http import bodies
from edge.gateway.http.route import ADMINS, ANYONE, JSON, Answer, Body, Call, Route
from edge.gateway.service import Appliance
from edge.model.pairing import Code, TokenName, commitment, typed
from edge.wire import OpenPairing, OpenPairings, PairAsk, PairCommitted, PairNonce, PairOpened, PairView

_MAX_BYTES = 4096
_MAX_S = 20.0
_LONGEST_WAIT_S = 3600.0
_encode = msgspec.json.Encoder().encode


class PairWaitQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long to wait."""

    wait_s: (
        Annotated[
            float,
            Meta(ge=0, le=_LONGEST_WAIT_S, description="answer once it is decided, or after so many seconds"),
        ]
        | UnsetType
    ) = UNSET


class PairApproval(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an admin lets somebody do."""

    scopes: Annotated[tuple[Scope, ...], Meta(min_length=1, max_length=len(Scope))]
    name: TokenName | None = None  # none: what it calls itself
    replace: bool = False  # revoke another token of that name


class PairRoutes:
    """The handlers of pairing. They run on the event loop."""

    def __init__(self, appliance: Appliance) -> None:
        self._pairings = appliance.pairings
        self._max_wait_s = appliance.config.gateway.max_wait_s

    def table(self) -> list[Route]:
        """The routes, in the order they are shown."""
        return [
            Route(
                *("POST", "/v1/pair", "Ask to be let in with a token of your own making", self.ask, ANYONE),
                body=Body(PairAsk, (JSON,), "A name, and the hash of the token."),
                answers=(Answer(HTTPStatus.CREATED, "Asked; it has no code yet", PairOpened),),
                problems=(HTTPStatus.TOO_MANY_REQUESTS,),
            ),
            Route(
                *("PUT", "/v1/pair/{request}", "Tell your random number, which gives the code", self.reveal, ANYONE),
                body=Body(PairNonce, (JSON,), "The number. It can be told once."),
                answers=(Answer(HTTPStatus.OK, "The board's number", PairCommitted),),
                problems=(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT, HTTPStatus.INSUFFICIENT_STORAGE),
            ),
            Route(
                *("GET", "/v1/pair/{request}", "How a request stands, waiting if asked to", self.show, ANYONE),
                query=PairWaitQuery,
                answers=(Answer(HTTPStatus.OK, "How it stands", PairView),),
                problems=(HTTPStatus.NOT_FOUND,),
            ),
            Route(
                *("DELETE", "/v1/pair/{request}", "Withdraw a request", self.withdraw, ANYONE),
                answers=(Answer(HTTPStatus.NO_CONTENT, "It can no longer be approved"),),
                problems=(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT),
            ),
            Route(
                *("GET", "/v1/pairings", "Who asks to be let in", self.list, ADMINS),
                answers=(Answer(HTTPStatus.OK, "The requests that wait", OpenPairings),),
            ),
            Route(
                *("POST", "/v1/pairings/{code}", "Let in who shows this code", self.approve, ADMINS),
                body=Body(PairApproval, (JSON,), "What its token may do."),
                answers=(Answer(HTTPStatus.OK, "Its token counts from now on", PairView),),
                problems=(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT, HTTPStatus.INSUFFICIENT_STORAGE),
            ),
            Route(
                *("DELETE", "/v1/pairings/{code}", "Refuse who shows this code", self.deny, ADMINS),
                answers=(Answer(HTTPStatus.NO_CONTENT, "Refused"),),
                problems=(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT),
            ),
        ]

    async def ask(self, call: Call) -> web.StreamResponse:
        """Take a request."""
        asked = await _body(call, PairAsk)
        made = self._pairings.ask(asked.name, sha256=asked.sha256, address=call.request.remote or "")
        view = PairOpened(made.id, commitment(made.nonce), _left_s(made))
        return web.Response(status=HTTPStatus.CREATED, body=_encode(view), content_type=JSON)

    async def reveal(self, call: Call) -> web.StreamResponse:
        """Open the board's number against the number of who asks."""
        told = await _body(call, PairNonce)
        found = self._pairings.reveal(_request(call), told.nonce)
        return web.Response(body=_encode(PairCommitted(found.nonce, _left_s(found))), content_type=JSON)

    async def show(self, call: Call) -> web.StreamResponse:
        """Answer once the request is decided, or when the time to wait is over."""
        asked = 0.0 if isinstance(call.query.wait_s, UnsetType) else call.query.wait_s
        return _view(await self._pairings.wait(_request(call), min(asked, self._max_wait_s)))

    async def withdraw(self, call: Call) -> web.StreamResponse:
        """Forget the request."""
        found = await self._pairings.wait(_request(call), 0.0)
        self._pairings.withdraw(found.id)
        return web.Response(status=HTTPStatus.NO_CONTENT)

    async def list(self, _call: Call) -> web.StreamResponse:
        """Answer with the requests that wait."""
        waiting = tuple(
            OpenPairing(each.name, each.address, _left_s(each), page=each.here) for each in self._pairings.open()
        )
        return web.Response(body=_encode(OpenPairings(waiting)), content_type=JSON)

    async def approve(self, call: Call) -> web.StreamResponse:
        """Let somebody in."""
        approval = await _body(call, PairApproval)
        token = await self._pairings.approve(
            _code(call), approval.scopes, name=approval.name or "", replace=approval.replace
        )
        view = PairView(Outcome.APPROVED, token.name, tuple(token.scopes))
        return web.Response(body=_encode(view), content_type=JSON)

    async def deny(self, call: Call) -> web.StreamResponse:
        """Refuse somebody."""
        self._pairings.deny(_code(call))
        return web.Response(status=HTTPStatus.NO_CONTENT)


def _request(call: Call) -> str:
    return str(call.request.match_info["request"])


def _code(call: Call) -> Code:
    try:
        return typed(call.request.match_info["code"])
    except UsageError as err:
        raise UnknownPairing(str(err)) from err


async def _body(call: Call, kind: type[bodies.T]) -> bodies.T:
    content = await bodies.read(call.request, (JSON,), max_bytes=_MAX_BYTES, max_s=_MAX_S)
    return bodies.decode(content, kind)


def _view(found: Pairing) -> web.Response:
    if found.token is not None:
        view = PairView(found.outcome, found.token.name, tuple(found.token.scopes), echo=found.echo)
    else:
        view = PairView(found.outcome, expires_s=_left_s(found))
    return web.Response(body=_encode(view), content_type=JSON)


def _left_s(found: Pairing) -> float:
    return round(max(0.0, found.until - time.monotonic()), 1)
