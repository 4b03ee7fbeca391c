"""Pairing in a browser: a visitor's browser shows a code, and an admin types it.

The visitor's browser keeps the token of its request in a cookie from the beginning. Once an admin has confirmed the
code, this token is valid, and the page opens a session for it.
"""

from __future__ import annotations

import secrets
import time
from http import HTTPStatus
from urllib.parse import quote

import msgspec
from aiohttp import hdrs, web

from edge.access import tokens
from edge.access.pairing import LIFE_S, Outcome, Pairing, UnknownPairing
from edge.access.tokens import Scope
from edge.core.errors import UsageError, WrongState
from edge.gateway.http import problems, tls
from edge.gateway.http.problems import Forbidden
from edge.gateway.http.route import READERS
from edge.gateway.page.rendering import Rendering, redirect
from edge.gateway.page.sessions import Sessions
from edge.gateway.page.visit import Visit
from edge.gateway.service import Appliance
from edge.model.pairing import Code, typed

_COOKIE = "edge_pairing"
_MAX_BYTES = 4096
#: The scopes that an admin can choose. `node` is missing: it is for boards, which `edge deploy` pairs.
_SCOPES = (
    (Scope.SUBMIT, "submit: submit jobs, and see its own"),
    (Scope.READ, "read: see all jobs"),
    (Scope.RUN, "run: as submit, and run programs that need this scope (any program if the board has allow_any)"),
    (Scope.ADMIN, "admin: everything"),
)
#: A word of the `User-Agent` header and the browser that sends it. Chrome sends "Safari" and Edge sends "Chrome" too,
#: so the order matters.
_BROWSERS = (("Firefox", "firefox"), ("Edg", "edge"), ("Chrome", "chrome"), ("Safari", "safari"))


class PairingCookie(msgspec.Struct, frozen=True):
    """The pairing request of a visitor's browser, as its cookie stores it."""

    id: str
    code: Code
    secret: str


class PairingView:
    """Handles `/pair` for a visitor and `/pairings` for an admin. Runs on the event loop."""

    def __init__(self, appliance: Appliance, rendering: Rendering, sessions: Sessions) -> None:
        self._pairings, self._rendering, self._sessions = appliance.pairings, rendering, sessions
        gateway = appliance.config.gateway
        self._secure = gateway.tls_cert is not None
        self._fingerprint = tls.fingerprint(gateway)
        self._max_wait_s = gateway.max_wait_s

    # ---- a visitor ----

    async def ask(self, visit: Visit) -> web.StreamResponse:
        """Make a pairing request, unless this browser has one that waits. Raises TooManyPairings."""
        await visit.form(max_bytes=_MAX_BYTES)
        cookie = _cookie(visit.request)
        answer = redirect("/pair")
        if cookie is None or await self._found(cookie, 0.0) is None:
            secret, browser = tokens.new_secret(), _browser(visit.request.headers.get(hdrs.USER_AGENT, ""))
            name = f"{browser}-{secrets.token_hex(2)}"
            made, code = self._pairings.ask_here(name, sha256=tokens.digest(secret), address=visit.request.remote or "")
            self._set_cookie(answer, f"{made.id}~{code}~{secret}", max_age=int(LIFE_S))
        return answer

    async def show(self, visit: Visit) -> web.StreamResponse:
        """Return the page with the code, or open a session if the code was confirmed. Raises Forbidden."""
        return await self._show(visit, 0.0)

    async def wait(self, visit: Visit) -> web.StreamResponse:
        """Do the same as `show`, but wait for the admin's decision first: for browsers without JavaScript."""
        return await self._show(visit, self._max_wait_s)

    async def _show(self, visit: Visit, wait_s: float) -> web.StreamResponse:
        cookie = _cookie(visit.request)
        if cookie is None:
            return redirect("/login")
        found = await self._found(cookie, wait_s)
        token = self._sessions.token_of(cookie.secret)
        if token is not None:
            if not set(token.scopes) & READERS:
                raise Forbidden(f"token {token.name!r} has scope {Scope.NODE}: it is for a board, not for a person")
            answer = redirect("/")
            self._sessions.open(answer, token)
            self._set_cookie(answer, "", max_age=0)
            return answer
        if found is not None and wait_s:
            return redirect("/pair")
        left_s = 0.0 if found is None else max(0.0, found.until - time.monotonic())
        page = self._rendering.page(
            *(visit, "pair.html"),
            cookie=cookie if found is not None else None,
            left_s=left_s,
            fingerprint=self._fingerprint,
        )
        if found is None:
            self._set_cookie(page, "", max_age=0)
        return page

    async def _found(self, cookie: PairingCookie, wait_s: float) -> Pairing | None:
        """Return the request of this browser, or None if it is too old or was refused."""
        try:
            found = await self._pairings.wait(cookie.id, wait_s)
        except UnknownPairing:
            return None
        return None if found.outcome is Outcome.DENIED else found

    def _set_cookie(self, answer: web.StreamResponse, value: str, *, max_age: int) -> None:
        answer.set_cookie(
            *(_COOKIE, value),
            max_age=max_age,
            path="/pair",
            httponly=True,
            samesite="Strict",
            secure=self._secure,
        )

    # ---- an admin ----

    async def list(self, visit: Visit) -> web.StreamResponse:
        """Return the page with the waiting requests and the form for a code."""
        return self._list(visit, approved=visit.query().get("let-in", "")[:80])

    async def decide(self, visit: Visit) -> web.StreamResponse:
        """Approve or refuse the request that has this code."""
        fields = await visit.form(max_bytes=_MAX_BYTES)
        scopes = [scope for scope, _ in _SCOPES if fields.get(f"scope-{scope}")]
        try:
            code = typed(fields.get("code", ""))
            if fields.get("do") == "deny":
                self._pairings.deny(code)
                return redirect("/pairings")
            if not scopes:
                raise UsageError("choose at least one scope")
            name = fields.get("name", "").strip()
            token = await self._pairings.approve(code, scopes, name=name, replace=bool(fields.get("replace")))
        except (UsageError, UnknownPairing, WrongState) as err:
            return self._list(visit, fields=fields, why=str(err), status=HTTPStatus(problems.of(err).status))
        return redirect(f"/pairings?let-in={quote(token.name)}")

    def _list(
        self,
        visit: Visit,
        *,
        fields: dict[str, str] | None = None,
        why: str = "",
        approved: str = "",
        status: HTTPStatus = HTTPStatus.OK,
    ) -> web.StreamResponse:
        now = time.monotonic()
        waiting = [(each, max(0.0, each.until - now)) for each in self._pairings.open()]
        return self._rendering.page(
            *(visit, "pairings.html"),
            status=status,
            waiting=waiting,
            scopes=_SCOPES,
            fields={f"scope-{Scope.SUBMIT}": "on"} if fields is None else fields,
            why=why,
            approved=approved,
        )


def _cookie(request: web.Request) -> PairingCookie | None:
    """Return the content of the pairing cookie, or None if there is no cookie or it is malformed."""
    match request.cookies.get(_COOKIE, "").split("~"):
        case [request_id, code, secret] if secret.startswith(tokens.PREFIX) and len(secret) < 200:
            try:
                return PairingCookie(request_id[:40], typed(code), secret)
            except UsageError:
                return None
        case _:
            return None


def _browser(agent: str) -> str:
    return next((name for word, name in _BROWSERS if word in agent), "browser")
