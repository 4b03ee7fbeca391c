"""Who asks, and what they may: bearer tokens, or loopback where the configuration trusts it."""

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

#: Headers a proxy adds: the request then comes from elsewhere, whatever the socket says.
_PROXY_HEADERS = (hdrs.FORWARDED, hdrs.X_FORWARDED_FOR)


#: Scopes that hand in jobs in their own name.
SUBMITTING = frozenset({Scope.SUBMIT, Scope.RUN})


@dataclass(frozen=True)
class Caller:
    """Whoever sent a request: the submitter's name, and the scopes."""

    name: str
    scopes: frozenset[Scope]

    @property
    def sees_all(self) -> bool:
        """True for `read` and `admin`; `submit` alone sees the jobs of its own name."""
        return bool(self.scopes & {Scope.READ, Scope.ADMIN})

    def may_see(self, submitter: str) -> bool:
        """True when this caller may look at a job of `submitter`."""
        return self.sees_all or Scope.NODE in self.scopes or self.name == submitter

    def may_end(self, submitter: str) -> bool:
        """True when this caller may cancel or remove a job of `submitter`."""
        return Scope.ADMIN in self.scopes or (bool(self.scopes & SUBMITTING) and self.name == submitter)

    def may_run(self, kind: str, scope: str) -> None:
        """Return when this caller may hand in jobs of a kind that asks for `scope`; raise Forbidden if not."""
        if scope and scope not in self.scopes:
            mine = ", ".join(sorted(self.scopes))
            raise Forbidden(f"token {self.name!r} has scope {mine}; jobs of the kind {kind!r} need {scope}")


#: Everyone on the board itself, where `gateway.loopback_without_token` is set.
LOCAL = Caller("local", frozenset(Scope) - {Scope.NODE})


class Authenticator:
    """Tells the caller of each request from the token files, which are looked at anew with one stat a request each.

    So a revoked token is refused from the next request on, and nothing is watched while nobody asks.
    """

    def __init__(self, path: Path, *, loopback_without_token: bool, paired: Path | None = None) -> None:
        """`path` and `paired` are the two files of `Tokens`."""
        self._files = [_TokenFile(each) for each in (path, paired) if each is not None]
        self._loopback = loopback_without_token
        self._nodes: dict[str, float] = {}

    @property
    def nodes(self) -> Mapping[str, float]:
        """When each node last asked for something, by its token's name, since the start of the gateway."""
        return self._nodes

    def tokens(self) -> tuple[Token, ...]:
        """All tokens there are now. Raises BadTokenFile."""
        return tuple(token for file in self._files for token in file.tokens())

    def local(self, request: web.Request) -> Caller | None:
        """The caller of a request from this board, where the configuration trusts it without a token."""
        return LOCAL if self._loopback and _is_local(request) else None

    def caller(self, request: web.Request, scopes: frozenset[Scope]) -> Caller:
        """The caller, who has one of `scopes`. Raises Unauthenticated, Forbidden, BadTokenFile."""
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
        """The token of this name, for what acts in its place; None: there is none. Raises BadTokenFile."""
        return next((token for token in self.tokens() if token.name == name), None)

    def by_secret(self, secret: str) -> Caller | None:
        """Whoever holds this token; None: it is not known, or was revoked. Raises BadTokenFile."""
        found = None
        for file in self._files:
            found = matching(file.tokens(), secret) or found
        return None if found is None else Caller(found.name, frozenset(found.scopes))


class _TokenFile:
    """One file of tokens, read again when it has changed."""

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
            return Tokens(self._path).list()  # tells what is wrong
        seen = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
        if seen != self._seen:
            self._tokens, self._seen = Tokens(self._path).list(), seen
        return self._tokens


def _bearer(request: web.Request) -> str | None:
    """The token of the Authorization header; None without the header. Raises Unauthenticated."""
    headers = request.headers.getall(hdrs.AUTHORIZATION, [])
    if not headers:
        return None
    scheme, _, secret = headers[0].partition(" ")
    if len(headers) > 1 or scheme.lower() != "bearer" or not secret.strip():
        raise Unauthenticated("Authorization must be: Bearer TOKEN")
    return secret.strip()


def _is_local(request: web.Request) -> bool:
    """True when the request was made on this board, for this board.

    A web page in a browser here can aim a request at loopback too: by a name of its own that resolves to 127.0.0.1.
    Then the Host header holds that name, so only an address or `localhost` passes.
    """
    if any(header in request.headers for header in _PROXY_HEADERS):
        return False
    peer = request.transport.get_extra_info("peername") if request.transport else None
    return peer is not None and _is_loopback(peer[0]) and _names_no_one(request.host)


@lru_cache(maxsize=64)
def _is_loopback(peer: str) -> bool:
    try:
        return ipaddress.ip_address(peer).is_loopback
    except ValueError:
        return False


@lru_cache(maxsize=64)
def _names_no_one(host: str) -> bool:
    """True for a Host header that holds an address or `localhost`, with or without a port."""
    name, _, port = host.rpartition(":")
    has_port = port.isascii() and port.isdigit() and (host.count(":") == 1 or "]:" in host)
    name = (name if has_port else host).strip("[]")
    try:
        return name.lower() == "localhost" or bool(ipaddress.ip_address(name))
    except ValueError:
        return False
