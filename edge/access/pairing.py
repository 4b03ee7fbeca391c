"""Holds requests for access (pairing), each with a short code that the owner confirms.

`PairingBook` holds the requests in the gateway's memory. Its caller passes the time. The functions below exchange files
with the board's own commands.

The client has made its token before it sends a request, and the request contains only the hash. A confirmation writes
this hash to the token file, and from then on the token is valid. The answer brings back only the echo, which proves to
the laptop that its code was typed.
"""

from __future__ import annotations

import math
import secrets
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from enum import StrEnum
from hmac import compare_digest
from pathlib import Path
from typing import TypeVar

import msgspec

from edge.access.address import network_of
from edge.access.tokens import Scope, Token, Tokens
from edge.core import durable, stored
from edge.core.errors import EdgeError, StorageError, UsageError, WrongState
from edge.core.host import boot_id
from edge.model import pairing
from edge.model.pairing import ButtonHeld, Code, Digest, TokenName

#: How long a code can be confirmed, in seconds.
LIFE_S = 300.0
#: Largest number of requests within that time, in total and from one network (see `network_of`). These limits also
#: bound the memory, and the chance to guess a code that somebody else shows.
MOST = 30
MOST_OF_ONE = 6

T = TypeVar("T")


class Outcome(StrEnum):
    """The state of a request."""

    WAITING = "waiting"
    APPROVED = "approved"
    DENIED = "denied"


class TooManyPairings(EdgeError, RuntimeError):
    """Too many requests were made within the life of a code. `retry_after_s` says when to try again."""

    def __init__(self, reason: str, retry_after_s: int) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(f"{reason} within {LIFE_S / 60:g} min; try again in {retry_after_s} s")


class UnknownPairing(EdgeError, LookupError):
    """No waiting request has this id, or not exactly one has this code."""

    exit_code = 4


class Pairing(msgspec.Struct, frozen=True):
    """One request for access."""

    id: str
    name: TokenName  # the name that the client chose
    sha256: Digest  # of the client's token
    address: str  # of the client
    nonce: str  # random number of the board
    until: float  # end of its life, by the monotonic clock of this boot
    here: bool = False  # made through a page of this gateway, which cannot know what certificate the browser saw
    own_nonce: str = ""  # random number of the client; empty until the client has sent it
    binding: str = ""  # first part of the code; empty without the client's number
    revealed_at: float = 0.0  # monotonic time at which the binding was made
    outcome: Outcome = Outcome.WAITING
    token: Token | None = None  # set when the request is approved
    echo: str = ""  # the rest of the code, as typed on the board; empty if it was not typed

    @property
    def open(self) -> bool:
        """Return True if the request can be confirmed now."""
        return bool(self.binding) and self.outcome is Outcome.WAITING


class PairingBook:
    """Holds the requests of the last `LIFE_S` seconds, at most `MOST`. Belongs to the gateway's loop.

    `now` is always the monotonic clock.
    """

    def __init__(self, certificate: str) -> None:
        """Begin without requests.

        `certificate` is the SHA-256 of the certificate that this gateway shows, or empty if it has none.
        """
        self._certificate = certificate
        self._asked: deque[tuple[float, str]] = deque()
        self._pairings: dict[str, Pairing] = {}

    def ask(self, name: str, *, sha256: str, address: str, now: float) -> Pairing:
        """Add a request and return it. Raises TooManyPairings.

        If a client repeats a request for which it has not sent its random number, return the first request.
        """
        self._forget_old(now)
        for known in self._pairings.values():
            if (known.sha256, known.name) == (sha256, name) and not known.own_nonce:
                return known
        self._count(address, now)
        made = Pairing(secrets.token_hex(16), name, sha256, address, pairing.new_nonce(), now + LIFE_S)
        self._pairings[made.id] = made
        return made

    def reveal(self, request_id: str, own_nonce: str, *, now: float, here: bool = False) -> Pairing:
        """Add the client's random number to a request. Return the request with its binding.

        Args:
            request_id: id of the request.
            own_nonce: random number of the client.
            now: the monotonic clock.
            here: the request was made through a page of this gateway.

        Raises:
            UnknownPairing: there is no such request.
            WrongState: the client sent another number before. A client that could change its number could try out
                codes.
        """
        found = self.find(request_id, now=now)
        if found.own_nonce:
            if not compare_digest(found.own_nonce, own_nonce):
                raise WrongState(f"the client of pairing request {request_id!r} sent another number before")
            return found
        binding = pairing.binding_of(
            certificate=self._certificate,
            token_sha256=found.sha256,
            name=found.name,
            board_nonce=found.nonce,
            own_nonce=own_nonce,
        )
        return self._replace(found, own_nonce=own_nonce, binding=binding, revealed_at=now, here=here)

    def find(self, request_id: str, *, now: float) -> Pairing:
        """Return the request with this id. Raises UnknownPairing."""
        self._forget_old(now)
        found = self._pairings.get(request_id)
        if found is None:
            raise UnknownPairing(f"no pairing request {request_id[:40]!r}: it is too old, was withdrawn or never made")
        return found

    def by_code(self, code: Code, *, now: float) -> Pairing:
        """Return the waiting request with this code. Raises UnknownPairing if there is none, or more than one."""
        return _only([each for each in self.open(now) if each.binding == code.binding], code)

    def open(self, now: float) -> list[Pairing]:
        """Return the requests that can be confirmed, oldest first."""
        self._forget_old(now)
        return [each for each in self._pairings.values() if each.open]

    def settle(self, request_id: str, outcome: Outcome, *, token: Token | None = None, echo: str = "") -> None:
        """Record how a request ended. It is kept until its life ends, so that the client can ask for its state.

        A request that is unknown or has ended before is not changed.
        """
        found = self._pairings.get(request_id)
        if found is not None and found.outcome is Outcome.WAITING:
            self._replace(found, outcome=outcome, token=token, echo=echo)

    def withdraw(self, request_id: str) -> None:
        """Remove a request. An unknown id is ignored."""
        self._pairings.pop(request_id, None)

    def _count(self, address: str, now: float) -> None:
        network = network_of(address)
        for reason, times, most in (
            (f"{MOST_OF_ONE} pairing requests came from the network of {address}", self._times(network), MOST_OF_ONE),
            (f"{MOST} pairing requests came", self._times(None), MOST),
        ):
            if len(times) >= most:
                raise TooManyPairings(reason, max(1, math.ceil(times[0] + LIFE_S - now)))
        self._asked.append((now, network))

    def _times(self, network: str | None) -> list[float]:
        return [at for at, origin in self._asked if network in (None, origin)]

    def _replace(self, found: Pairing, **changes: object) -> Pairing:
        changed = msgspec.structs.replace(found, **changes)
        self._pairings[found.id] = changed
        return changed

    def _forget_old(self, now: float) -> None:
        while self._asked and self._asked[0][0] + LIFE_S <= now:
            self._asked.popleft()
        for each in [each for each in self._pairings.values() if each.until <= now]:
            del self._pairings[each.id]


class OpenRequest(msgspec.Struct, frozen=True):
    """A waiting request, as the gateway's file shows it to the board's own commands."""

    id: str
    binding: str
    name: TokenName
    sha256: Digest
    address: str
    until: float
    here: bool = False


class OpenRequests(msgspec.Struct, frozen=True):
    """The file of waiting requests. `boot_id` names the boot whose monotonic clock `until` refers to."""

    boot_id: str
    requests: tuple[OpenRequest, ...] = ()


class Approval(msgspec.Struct, frozen=True):
    """An approval by the board's own commands, written for the gateway as `ID.approved` when the token is valid."""

    token: Token
    echo: str


APPROVED = ".approved"


def encode(pairings: Sequence[Pairing]) -> bytes:
    """Return the content of the file of waiting requests."""
    requests = tuple(OpenRequest(p.id, p.binding, p.name, p.sha256, p.address, p.until, p.here) for p in pairings)
    return msgspec.json.encode(OpenRequests(boot_id(), requests))


def read(path: Path) -> tuple[OpenRequest, ...]:
    """Return the waiting requests in the gateway's file. Raises UsageError if the file cannot be read."""
    try:
        found = stored.read(path, OpenRequests)
    except FileNotFoundError:
        return ()
    except OSError as err:
        why = f"{path}: {err.strerror or err}"
        raise UsageError(f"{why}; run this as a user who may write the board's state (sudo)") from err
    except stored.BadContent as err:
        raise UsageError(f"{path}: not a list of pairing requests: {err}") from err
    now = time.monotonic()
    return tuple(each for each in found.requests if found.boot_id == boot_id() and each.until > now)


def approve(
    path: Path, tokens: Tokens, code: Code, scopes: Sequence[Scope], *, name: str = "", replace: bool = False
) -> tuple[Token, OpenRequest]:
    """Approve the request with this code. The token is durable on return, and the file `ID.approved` tells the gateway.

    Args:
        path: the gateway's file of waiting requests.
        tokens: the token files of the board.
        code: the code that the client shows.
        scopes: the scopes of the token.
        name: name of the token; without it, the name in the request.
        replace: revoke another token of this name.

    Returns:
        The token and the request.

    Raises:
        UnknownPairing: no request has this code, or more than one.
        UsageError: the file cannot be read, or the name or the scopes cannot be used.
        BadTokenFile: a token file cannot be read.
        StorageError: a file cannot be written.
    """
    found = _only([each for each in read(path) if each.binding == code.binding], code)
    token = tokens.admit(name or found.name, scopes, sha256=found.sha256, replace=replace)
    try:
        durable.replace_volatile(
            path.with_name(f"{found.id}{APPROVED}"), msgspec.json.encode(Approval(token, code.echo))
        )
    except OSError as err:
        raise StorageError(f"token {token.name!r} is valid, but the gateway cannot be notified", err) from err
    return token, found


def taken_approval(path: Path) -> Approval | None:
    """Return the approval in an `ID.approved`, or None if the file has none. Remove the file."""
    try:
        found = stored.read(path, Approval)
    except (OSError, stored.BadContent):
        found = None
    with suppress(OSError):
        path.unlink()
    return found


def held_at(path: Path) -> float | None:
    """Return when the button was last held in this boot, by the monotonic clock, or None if it was not."""
    try:
        held = stored.read(path, ButtonHeld)
    except (OSError, stored.BadContent):
        return None
    return held.at if held.boot_id == boot_id() else None


def _only(found: list[T], code: Code) -> T:
    if len(found) != 1:
        raise UnknownPairing(
            f"no request, or more than one, has the code {code}; it may be older than {LIFE_S / 60:g} min. If a screen "
            "shows it now, something between that machine and this board has another certificate: do not continue"
        )
    return found[0]
