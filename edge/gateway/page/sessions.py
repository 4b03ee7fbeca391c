"""The session of a person: a signed cookie that stands for their token.

The cookie names the token and the day it ends, signed with a key of this board and the token's hash. So nothing is
kept for a session, it survives restarts and power cuts, and it ends when its token is revoked.
"""

from __future__ import annotations

import hmac
import secrets
import time
from hashlib import sha256
from pathlib import Path

from aiohttp import web

from edge.access.tokens import Token, matching
from edge.core import durable
from edge.core.errors import StorageError
from edge.gateway.http.auth import Authenticator, Caller

COOKIE = "edge_session"
_LASTS_S = 30 * 86_400
_KEY_BYTES = 32


class Sessions:
    """Opens sessions and recognises them. Belongs to the event loop."""

    def __init__(self, door: Authenticator, key: Path, *, secure: bool) -> None:
        """`key` is a file that the first login makes; `secure`: the gateway speaks TLS."""
        self._door, self._path, self._secure = door, key, secure
        self._key = b""

    def caller(self, request: web.Request) -> Caller | None:
        """Whoever the cookie stands for; None: no cookie, or one that does not count any more. Raises BadTokenFile."""
        match request.cookies.get(COOKIE, "").split("~"):
            case [name, ends, mark] if ends.isascii() and ends.isdigit() and len(ends) < 20:
                key = self._read()
            case _:
                return None
        if not key or int(ends) < time.time():
            return None
        for token in self._door.tokens():
            if token.name == name and hmac.compare_digest(_mark(key, token, ends), mark.encode("utf-8", "replace")):
                return Caller(token.name, frozenset(token.scopes))
        return None

    def who(self, secret: str) -> Token | None:
        """The token that `secret` is. Raises BadTokenFile."""
        return matching(self._door.tokens(), secret)

    def open(self, response: web.StreamResponse, token: Token) -> None:
        """Let whoever gets `response` act as the owner of `token`. Raises StorageError."""
        ends = str(int(time.time()) + _LASTS_S)
        value = f"{token.name}~{ends}~{_mark(self._made(), token, ends).decode()}"
        response.set_cookie(
            COOKIE, value, max_age=_LASTS_S, path="/", httponly=True, samesite="Strict", secure=self._secure
        )

    def close(self, response: web.StreamResponse) -> None:
        """Make the browser forget the cookie."""
        response.del_cookie(COOKIE, path="/", httponly=True, samesite="Strict", secure=self._secure)

    def _read(self) -> bytes:
        """The key, empty when there is none yet or none that can be read: then no session counts."""
        if not self._key:
            try:
                key = self._path.read_bytes()
            except OSError:
                return b""
            self._key = key if len(key) == _KEY_BYTES else b""
        return self._key

    def _made(self) -> bytes:
        """The key, which the first login of a board writes to its card."""
        if not self._read():
            key = secrets.token_bytes(_KEY_BYTES)
            try:
                durable.replace(self._path, key, mode=0o600)
            except OSError as err:
                raise StorageError("cannot keep the key of the page's sessions", err) from err
            self._key = key
        return self._key


def _mark(key: bytes, token: Token, ends: str) -> bytes:
    """What proves that this board made the cookie, for a token that is still the same."""
    text = f"{token.name}\n{ends}\n{token.sha256}"
    return hmac.new(key, text.encode(), sha256).hexdigest().encode()
