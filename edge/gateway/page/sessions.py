"""Sessions of persons: a session is a signed cookie that stands for a token.

The cookie contains the name of the token and the time at which the session ends. It is signed with a key of this board
and the hash of the token. So the board stores nothing for a session: a session survives restarts and power cuts, and
it ends when its token is revoked.
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

    def __init__(self, authenticator: Authenticator, key: Path, *, secure: bool) -> None:
        """Make no file yet.

        Args:
            authenticator: knows the tokens of the board.
            key: the file of the signing key; the first login writes it.
            secure: True if the gateway uses TLS. Browsers then send the cookie over TLS only.
        """
        self._authenticator, self._path, self._secure = authenticator, key, secure
        self._key = b""

    def caller(self, request: web.Request) -> Caller | None:
        """Return the caller whose session the cookie is, or None if there is no valid cookie. Raises BadTokenFile."""
        match request.cookies.get(COOKIE, "").split("~"):
            case [name, ends, mark] if ends.isascii() and ends.isdigit() and len(ends) < 20:
                key = self._read()
            case _:
                return None
        if not key or int(ends) < time.time():
            return None
        for token in self._authenticator.tokens():
            if token.name == name and hmac.compare_digest(_mark(key, token, ends), mark.encode("utf-8", "replace")):
                return Caller(token.name, frozenset(token.scopes))
        return None

    def token_of(self, secret: str) -> Token | None:
        """Return the token with this secret, or None if it is not known. Raises BadTokenFile."""
        return matching(self._authenticator.tokens(), secret)

    def open(self, response: web.StreamResponse, token: Token) -> None:
        """Add a cookie to `response` with which its receiver acts as the owner of `token`. Raises StorageError."""
        ends = str(int(time.time()) + _LASTS_S)
        value = f"{token.name}~{ends}~{_mark(self._made(), token, ends).decode()}"
        response.set_cookie(
            COOKIE, value, max_age=_LASTS_S, path="/", httponly=True, samesite="Strict", secure=self._secure
        )

    def close(self, response: web.StreamResponse) -> None:
        """Add a header to `response` that makes the browser delete the cookie."""
        response.del_cookie(COOKIE, path="/", httponly=True, samesite="Strict", secure=self._secure)

    def _read(self) -> bytes:
        """Return the key, or empty bytes if there is no readable key. Without a key no session is valid."""
        if not self._key:
            try:
                key = self._path.read_bytes()
            except OSError:
                return b""
            self._key = key if len(key) == _KEY_BYTES else b""
        return self._key

    def _made(self) -> bytes:
        """Return the key. The first login of a board makes it and writes it to disk. Raises StorageError."""
        if not self._read():
            key = secrets.token_bytes(_KEY_BYTES)
            try:
                durable.replace(self._path, key, mode=0o600)
            except OSError as err:
                raise StorageError("cannot keep the key of the page's sessions", err) from err
            self._key = key
        return self._key


def _mark(key: bytes, token: Token, ends: str) -> bytes:
    """Return the signature of a cookie. It proves that this board made the cookie, and that the token is unchanged."""
    text = f"{token.name}\n{ends}\n{token.sha256}"
    return hmac.new(key, text.encode(), sha256).hexdigest().encode()
