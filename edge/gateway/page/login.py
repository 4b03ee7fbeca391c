"""Logs a person in with a token, and out."""

from __future__ import annotations

import math
from http import HTTPStatus

from aiohttp import web

from edge.access.tokens import Scope
from edge.gateway.http.auth import Authenticator
from edge.gateway.http.problems import Forbidden, TooOften
from edge.gateway.http.route import READERS
from edge.gateway.page.rendering import Rendering, redirect
from edge.gateway.page.sessions import Sessions
from edge.gateway.page.throttle import Throttle
from edge.gateway.page.visit import Visit
from edge.gateway.service import Appliance

_MAX_BYTES = 8192


class LoginView:
    """Handles `/login` and `/logout`. Runs on the event loop.

    If the configuration trusts loopback, people on the board itself need no login.
    """

    def __init__(
        self,
        appliance: Appliance,
        rendering: Rendering,
        authenticator: Authenticator,
        sessions: Sessions,
        throttle: Throttle,
    ) -> None:
        self._appliance, self._rendering = appliance, rendering
        self._authenticator, self._sessions, self._throttle = authenticator, sessions, throttle

    async def form(self, visit: Visit) -> web.StreamResponse:
        """Return the form for a token."""
        return self._form(visit, next_path=_own_path(visit.query().get("next", "")))

    async def enter(self, visit: Visit) -> web.StreamResponse:
        """Open a session for the owner of the token.

        Raises:
            TooOften: this address sent too many wrong tokens and has to wait.
            Forbidden: the token belongs to a board, not to a person.
            BadRequest: the form is malformed.
        """
        address = visit.request.remote or ""
        if (wait_s := self._throttle.wait_s(address)) > 0:
            left_s = math.ceil(wait_s)
            raise TooOften(f"too many wrong tokens came from {address}; try again in {left_s} s", retry_after_s=left_s)
        fields = await visit.form(max_bytes=_MAX_BYTES)
        next_path = _own_path(fields.get("next", ""))
        token = self._sessions.token_of(fields.get("token", "").strip())
        if token is None:
            self._throttle.wrong(address)
            why = "This token is not known here, or it was revoked."
            return self._form(visit, next_path=next_path, why=why, status=HTTPStatus.UNAUTHORIZED)
        self._throttle.right(address)
        if not set(token.scopes) & READERS:
            raise Forbidden(f"token {token.name!r} has scope {Scope.NODE}: it is for a board, not for a person")
        answer = redirect(next_path)
        self._sessions.open(answer, token)
        return answer

    async def leave(self, _visit: Visit) -> web.StreamResponse:
        """End the session in this browser."""
        answer = redirect("/login")
        self._sessions.close(answer)
        return answer

    def _form(
        self, visit: Visit, *, next_path: str, why: str = "", status: HTTPStatus = HTTPStatus.OK
    ) -> web.StreamResponse:
        return self._rendering.page(visit, "login.html", status=status, next_path=next_path, why=why)


def _own_path(path: str) -> str:
    """Return `path` if it is a path of this board, else `/`. A link must not lead a person to another site at login."""
    if path.startswith("/") and path[1:2] not in {"/", "\\"} and path.isprintable() and path.isascii():
        return path
    return "/"
