"""Session cookies: which ones are valid, and what ends a session."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from edge.access.tokens import Scope, Tokens
from edge.gateway.http.auth import Authenticator, Caller
from edge.gateway.page.sessions import COOKIE, Sessions


class Board:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.tokens = Tokens(folder / "tokens.json")
        self.secret = self.tokens.add("anna", [Scope.SUBMIT])
        self.authenticator = Authenticator(folder / "tokens.json", loopback_without_token=False)
        self.sessions = self.again()

    def again(self, *, secure: bool = False) -> Sessions:
        """Return new sessions on the same files, as after a restart of the gateway."""
        return Sessions(self.authenticator, self.folder / "page.key", secure=secure)

    def cookie(self) -> str:
        response = web.Response()
        token = self.sessions.token_of(self.secret)
        assert token is not None
        self.sessions.open(response, token)
        return response.cookies[COOKIE].value

    def caller(self, cookie: str, sessions: Sessions | None = None) -> Caller | None:
        request = make_mocked_request("GET", "/", headers={"Cookie": f"{COOKIE}={cookie}"})
        return (sessions or self.sessions).caller(request)


@pytest.fixture
def board(tmp_path: Path) -> Board:
    return Board(tmp_path)


def test_a_session_is_its_token_and_outlives_a_restart(board: Board) -> None:
    """The cookie identifies the caller with the scopes of the token, also after a restart of the gateway."""
    cookie = board.cookie()
    expected = Caller("anna", frozenset({Scope.SUBMIT}))
    assert board.caller(cookie) == expected
    assert board.caller(cookie, board.again()) == expected
    assert board.secret not in cookie


def test_scopes_are_those_of_the_token_now(board: Board) -> None:
    """A change by `edge token allow` takes effect from the next request on."""
    cookie = board.cookie()
    board.tokens.allow("anna", [Scope.READ])
    assert board.caller(cookie) == Caller("anna", frozenset({Scope.READ}))


def test_a_revoked_token_ends_its_sessions(board: Board) -> None:
    """A new token of the same name does not make the old sessions valid again."""
    cookie = board.cookie()
    board.tokens.revoke("anna")
    assert board.caller(cookie) is None
    board.tokens.add("anna", [Scope.ADMIN])
    assert board.caller(cookie) is None


def test_a_session_ends_with_its_time(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    """A session is not valid after its end, 30 days after the login."""
    cookie = board.cookie()
    later = time.time() + 31 * 86_400
    monkeypatch.setattr(time, "time", lambda: later)
    assert board.caller(cookie) is None


@pytest.mark.parametrize(
    "cookie",
    [
        "",
        "~",
        "~~",
        "anna",
        "anna~9999999999~",
        "anna~9999999999~00",
        "anna~-1~x",
        "anna~²~x",
        "~9999999999~x",
        "a~b~c~d",
        f"anna~{'9' * 5000}~x",
        "anna~9999999999~é",
    ],
)
def test_what_is_no_cookie_of_ours_is_nobody(board: Board, cookie: str) -> None:
    """A cookie that this board did not make has no caller, before the first login and after it."""
    assert board.caller(cookie) is None
    board.cookie()
    assert board.caller(cookie) is None


def test_a_changed_cookie_is_nobody(board: Board) -> None:
    """The signature covers the name of the token and the end of the session."""
    board.tokens.add("root", [Scope.ADMIN])
    name, ends, mark = board.cookie().split("~")
    assert name == "anna"
    assert board.caller(f"root~{ends}~{mark}") is None
    assert board.caller(f"anna~{int(ends) + 1}~{mark}") is None


def test_flags(board: Board) -> None:
    """Scripts cannot read the cookie, and other sites cannot send it. Under TLS it never goes over plain HTTP."""
    token = board.sessions.token_of(board.secret)
    assert token is not None
    for secure in (False, True):
        response = web.Response()
        board.again(secure=secure).open(response, token)
        cookie = response.cookies[COOKIE]
        assert (cookie["httponly"], cookie["samesite"], bool(cookie["secure"])) == (True, "Strict", secure)
    assert (board.folder / "page.key").stat().st_mode & 0o777 == 0o600
