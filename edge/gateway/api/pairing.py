"""Routes of pairing: a machine requests access and shows a code, and an admin confirms that code."""

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
    """How long the answer may wait for a decision."""

    wait_s: (
        Annotated[
            float,
            Meta(ge=0, le=_LONGEST_WAIT_S, description="seconds that the answer may wait for the decision"),
        ]
        | UnsetType
    ) = UNSET


class PairApproval(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The decision of an admin: which scopes the token gets, and under which name."""

    scopes: Annotated[tuple[Scope, ...], Meta(min_length=1, max_length=len(Scope))]
    name: TokenName | None = None  # without it, the name in the request
    replace: bool = False  # revoke another token of this name


class PairRoutes:
    """Handles the requests about pairing. Runs on the event loop."""

    def __init__(self, appliance: Appliance) -> None:
        self._pairings = appliance.pairings
        self._max_wait_s = appliance.config.gateway.max_wait_s

    def table(self) -> list[Route]:
        """Return the routes, in the order in which the documents list them."""
        return [
            Route(
                *("POST", "/v1/pair", "Request access for a token that you have made", self.ask, ANYONE),
                body=Body(PairAsk, (JSON,), "A name, and the hash of the token."),
                answers=(Answer(HTTPStatus.CREATED, "Requested; it has no code yet", PairOpened),),
                problems=(HTTPStatus.TOO_MANY_REQUESTS,),
            ),
            Route(
                *("PUT", "/v1/pair/{request}", "Send the random number that completes the code", self.reveal, ANYONE),
                body=Body(PairNonce, (JSON,), "The number. A second, different number is refused."),
                answers=(Answer(HTTPStatus.OK, "The board's number", PairCommitted),),
                problems=(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT, HTTPStatus.INSUFFICIENT_STORAGE),
            ),
            Route(
                *("GET", "/v1/pair/{request}", "Show the state of a request, or wait for it", self.show, ANYONE),
                query=PairWaitQuery,
                answers=(Answer(HTTPStatus.OK, "The state of the request", PairView),),
                problems=(HTTPStatus.NOT_FOUND,),
            ),
            Route(
                *("DELETE", "/v1/pair/{request}", "Withdraw a request", self.withdraw, ANYONE),
                answers=(Answer(HTTPStatus.NO_CONTENT, "It can no longer be approved"),),
                problems=(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT),
            ),
            Route(
                *("GET", "/v1/pairings", "List the requests for access", self.list, ADMINS),
                answers=(Answer(HTTPStatus.OK, "The requests that wait", OpenPairings),),
            ),
            Route(
                *("POST", "/v1/pairings/{code}", "Approve the request with this code", self.approve, ADMINS),
                body=Body(PairApproval, (JSON,), "What its token may do."),
                answers=(Answer(HTTPStatus.OK, "Its token is valid from now on", PairView),),
                problems=(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT, HTTPStatus.INSUFFICIENT_STORAGE),
            ),
            Route(
                *("DELETE", "/v1/pairings/{code}", "Refuse the request with this code", self.deny, ADMINS),
                answers=(Answer(HTTPStatus.NO_CONTENT, "Refused"),),
                problems=(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT),
            ),
        ]

    async def ask(self, call: Call) -> web.StreamResponse:
        """Accept a request for access. Raises TooManyPairings, BadRequest."""
        asked = await _body(call, PairAsk)
        made = self._pairings.ask(asked.name, sha256=asked.sha256, address=call.request.remote or "")
        view = PairOpened(made.id, commitment(made.nonce), _left_s(made))
        return web.Response(status=HTTPStatus.CREATED, body=_encode(view), content_type=JSON)

    async def reveal(self, call: Call) -> web.StreamResponse:
        """Receive the client's random number, and answer with the board's. Raises UnknownPairing, WrongState."""
        client = await _body(call, PairNonce)
        found = self._pairings.reveal(_request(call), client.nonce)
        return web.Response(body=_encode(PairCommitted(found.nonce, _left_s(found))), content_type=JSON)

    async def show(self, call: Call) -> web.StreamResponse:
        """Answer when the request is decided, or when `wait_s` is over. Raises UnknownPairing."""
        asked = 0.0 if isinstance(call.query.wait_s, UnsetType) else call.query.wait_s
        return _view(await self._pairings.wait(_request(call), min(asked, self._max_wait_s)))

    async def withdraw(self, call: Call) -> web.StreamResponse:
        """Remove the request. Raises UnknownPairing, WrongState."""
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
        """Approve the request with this code.

        Raises UnknownPairing, WrongState, UsageError (TokenExists), BadTokenFile, StorageError.
        """
        approval = await _body(call, PairApproval)
        token = await self._pairings.approve(
            _code(call), approval.scopes, name=approval.name or "", replace=approval.replace
        )
        view = PairView(Outcome.APPROVED, token.name, tuple(token.scopes))
        return web.Response(body=_encode(view), content_type=JSON)

    async def deny(self, call: Call) -> web.StreamResponse:
        """Refuse the request with this code. Raises UnknownPairing, WrongState."""
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
