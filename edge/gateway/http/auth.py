"""Identifies the client of a request and its scopes: by bearer token, or by loopback if the configuration allows it."""

from __future__ import annotations

import ipaddress
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from aiohttp import hdrs, web

from edge.access.tokens import Scope, Token, Tokens, matching
from edge.gateway.http.problems import Forbidden, Unauthenticated

#: Headers that a proxy adds. With one of them, the request comes from another machine even if the socket is local.
_PROXY_HEADERS = (hdrs.FORWARDED, hdrs.X_FORWARDED_FOR)


#: Scopes with which a token submits jobs in its own name.
SUBMITTING = frozenset({Scope.SUBMIT, Scope.RUN})


@dataclass(frozen=True)
class Caller:
    """The client that sent a request: its name as a submitter, and its scopes."""

    name: str
    scopes: frozenset[Scope]

    @property
    def sees_all(self) -> bool:
        """Return True for `read` and `admin`. With `submit` alone, a client sees only jobs of its own name."""
        return bool(self.scopes & {Scope.READ, Scope.ADMIN})

    def may_see(self, submitter: str) -> bool:
        """Return True if this caller may see a job of `submitter`."""
        return self.sees_all or Scope.NODE in self.scopes or self.name == submitter

    def may_end(self, submitter: str) -> bool:
        """Return True if this caller may cancel or remove a job of `submitter`."""
        return Scope.ADMIN in self.scopes or (bool(self.scopes & SUBMITTING) and self.name == submitter)

    def may_run(self, kind: str, scope: str) -> None:
        """Raise Forbidden if this caller may not submit jobs of `kind`. An empty `scope` means that it needs none."""
        if scope and scope not in self.scopes:
            scopes = ", ".join(sorted(self.scopes))
            raise Forbidden(f"token {self.name!r} has scope {scopes}; jobs of the kind {kind!r} need {scope}")


#: The caller of requests from the board itself, if `gateway.loopback_without_token` is set.
LOCAL = Caller("local", frozenset(Scope) - {Scope.NODE})


class Authenticator:
    """Finds the caller of each request in the token files. Belongs to the gateway's loop.

    Each request costs one `stat` per file, and a changed file is read again. So a revoked token is refused from the
    next request on, and without requests nothing is watched.
    """

    def __init__(self, path: Path, *, loopback_without_token: bool, paired: Path | None = None) -> None:
        """Prepare to read the token files.

        Args:
            path: the file that `edge token` writes.
            loopback_without_token: accept requests from this board without a token.
            paired: the file that the gateway writes for pairing, or None.
        """
        self._files = [_TokenFile(each) for each in (path, paired) if each is not None]
        self._loopback = loopback_without_token
        self._nodes: dict[str, float] = {}

    @property
    def nodes(self) -> Mapping[str, float]:
        """Return when each node last sent a request, as Unix time, by the name of its token.

        Only requests since the start of the gateway count.
        """
        return self._nodes

    def tokens(self) -> tuple[Token, ...]:
        """Return all present tokens. Raises BadTokenFile."""
        return tuple(token for file in self._files for token in file.tokens())

    def local(self, request: web.Request) -> Caller | None:
        """Return `LOCAL` if the request comes from this board and needs no token, otherwise None."""
        return LOCAL if self._loopback and _is_local(request) else None

    def caller(self, request: web.Request, scopes: frozenset[Scope]) -> Caller:
        """Return the caller of a request.

        Args:
            request: the request.
            scopes: the caller needs at least one of these.

        Raises:
            Unauthenticated: the request has no valid token, and needs one.
            Forbidden: the caller has none of `scopes`.
            BadTokenFile: a token file cannot be read.
        """
        secret = _bearer(request)
        if secret is None:
            local = self.local(request)
            if local is None:
                raise Unauthenticated("this needs a token: Authorization: Bearer TOKEN, made by `edge token add NAME`")
            caller = local
        else:
            known = self.by_secret(secret)
            if known is None:
                raise Unauthenticated("the token is not known here, or it was revoked")
            caller = known
            if Scope.NODE in caller.scopes:
                self._nodes[caller.name] = time.time()
        if not caller.scopes & scopes:
            allowed = " or ".join(sorted(scopes))
            raise Forbidden(f"token {caller.name!r} has scope {', '.join(sorted(caller.scopes))}; this needs {allowed}")
        return caller

    def token(self, name: str) -> Token | None:
        """Return the token of this name, or None. Raises BadTokenFile.

        MQTT uses it: `mqtt.submit.token` names the token, and no secret is sent.
        """
        return next((token for token in self.tokens() if token.name == name), None)

    def by_secret(self, secret: str) -> Caller | None:
        """Return the caller with this token, or None if it is unknown or was revoked. Raises BadTokenFile."""
        found = None
        for file in self._files:
            found = matching(file.tokens(), secret) or found
        return None if found is None else Caller(found.name, frozenset(found.scopes))


class _TokenFile:
    """One token file. It is read again after it has changed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int, int] | None = None
        self._tokens: tuple[Token, ...] = ()

    def tokens(self) -> tuple[Token, ...]:
        try:
            stat = os.stat(self._path)  # noqa: PTH116 - once a request; Path.stat costs twice as much
        except FileNotFoundError:
            self._seen = None
            return ()
        except OSError:
            self._seen = None
            return Tokens(self._path).list()  # raises BadTokenFile with the reason
        seen = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
        if seen != self._seen:
            self._tokens, self._seen = Tokens(self._path).list(), seen
        return self._tokens


def _bearer(request: web.Request) -> str | None:
    """Return the token in the Authorization header, or None without the header. Raises Unauthenticated."""
    headers = request.headers.getall(hdrs.AUTHORIZATION, [])
    if not headers:
        return None
    scheme, _, secret = headers[0].partition(" ")
    if len(headers) > 1 or scheme.lower() != "bearer" or not secret.strip():
        raise Unauthenticated("Authorization must be: Bearer TOKEN")
    return secret.strip()


def _is_local(request: web.Request) -> bool:
    """Return True if a program on this board made the request for this board.

    A web page in a browser on the board can also send requests to loopback, through a domain name of the attacker that
    resolves to 127.0.0.1 (DNS rebinding). Then the Host header has that name. So the Host header must be an IP address
    or `localhost`.
    """
    if any(header in request.headers for header in _PROXY_HEADERS):
        return False
    peer = request.transport.get_extra_info("peername") if request.transport else None
    return peer is not None and _is_loopback(peer[0]) and _is_address(request.host)


@lru_cache(maxsize=64)
def _is_loopback(peer: str) -> bool:
    try:
        return ipaddress.ip_address(peer).is_loopback
    except ValueError:
        return False


@lru_cache(maxsize=64)
def _is_address(host: str) -> bool:
    """Return True for a Host header with an IP address or `localhost`, with or without a port."""
    name, _, port = host.rpartition(":")
    has_port = port.isascii() and port.isdigit() and (host.count(":") == 1 or "]:" in host)
    name = (name if has_port else host).strip("[]")
    try:
        return name.lower() == "localhost" or bool(ipaddress.ip_address(name))
    except ValueError:
        return False
