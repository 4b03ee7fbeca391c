"""Requests to be let in, each with a short code that the owner confirms.

`PairingBook` holds them in the gateway's memory; the caller passes the time. The functions below it read and write the
files between the gateway and the board's own commands.

Who asks has made its token already and tells only the hash. A confirmation writes that hash to the token file, and from
then on the token counts. It brings back nothing but the echo, by which the laptop knows that its code was typed.
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
from edge.core import durable
from edge.core.errors import EdgeError, StorageError, UsageError, WrongState
from edge.core.host import boot_id
from edge.model import pairing
from edge.model.pairing import ButtonHeld, Code, Digest, TokenName

#: How long a code can be confirmed.
LIFE_S = 300.0
#: Requests within that time, in all and from one address. They bound the memory, too, and the chances to hit upon a
#: code that somebody else shows.
MOST = 30
MOST_OF_ONE = 6

T = TypeVar("T")


class Outcome(StrEnum):
    """How a request stands."""

    WAITING = "waiting"
    APPROVED = "approved"
    DENIED = "denied"


class TooManyPairings(EdgeError, RuntimeError):
    """More requests than may be made within the life of a code."""

    def __init__(self, who: str, retry_after_s: int) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(f"{who} within {LIFE_S / 60:g} min; try again in {retry_after_s} s")


class UnknownPairing(EdgeError, LookupError):
    """No request with this id or code waits: it was never made, is too old, or was withdrawn."""

    exit_code = 4


class Pairing(msgspec.Struct, frozen=True):
    """One request to be let in."""

    id: str
    name: TokenName  # what it calls itself
    sha256: Digest  # of its token
    address: str
    nonce: str  # of the board
    until: float  # by the monotonic clock of this boot
    here: bool = False  # asked through a page of this gateway, which cannot know what certificate the browser saw
    own_nonce: str = ""  # random number of who asks; empty: not told yet, so there is no binding
    binding: str = ""  # first part of its code
    revealed_at: float = 0.0  # when the binding was made
    outcome: Outcome = Outcome.WAITING
    token: Token | None = None  # once it is let in
    echo: str = ""  # the rest of the code, as it was typed on the board; empty: nobody typed it

    @property
    def open(self) -> bool:
        """True when it can be confirmed now."""
        return bool(self.binding) and self.outcome is Outcome.WAITING


class PairingBook:
    """The requests of the last `LIFE_S`, at most `MOST`."""

    def __init__(self, certificate: str) -> None:
        """`certificate` is the SHA-256 of the one that this gateway shows; empty: none."""
        self._certificate = certificate
        self._asked: deque[tuple[float, str]] = deque()
        self._pairings: dict[str, Pairing] = {}

    def ask(self, name: str, *, sha256: str, address: str, now: float) -> Pairing:
        """A new request, or the one that this token made a moment ago. Raises TooManyPairings."""
        self._forget_old(now)
        for known in self._pairings.values():
            if (known.sha256, known.name) == (sha256, name) and not known.own_nonce:
                return known
        self._count(address, now)
        made = Pairing(secrets.token_hex(16), name, sha256, address, pairing.new_nonce(), now + LIFE_S)
        self._pairings[made.id] = made
        return made

    def reveal(self, request_id: str, own_nonce: str, *, now: float, here: bool = False) -> Pairing:
        """The request with its binding, now that who asked has told its number.

        Raises:
            UnknownPairing: there is no such request.
            WrongState: it told another number before; with a second one it could try out codes.
        """
        found = self.find(request_id, now=now)
        if found.own_nonce:
            if not compare_digest(found.own_nonce, own_nonce):
                raise WrongState(f"pairing request {request_id!r} has told another number before")
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
        """The request with this id. Raises UnknownPairing."""
        self._forget_old(now)
        found = self._pairings.get(request_id)
        if found is None:
            raise UnknownPairing(f"no pairing request {request_id[:40]!r}: it is too old, was withdrawn or never made")
        return found

    def by_code(self, code: Code, *, now: float) -> Pairing:
        """The one request that shows this code and waits. Raises UnknownPairing."""
        return _only([each for each in self.open(now) if each.binding == code.binding], code)

    def open(self, now: float) -> list[Pairing]:
        """What can be confirmed, oldest first."""
        self._forget_old(now)
        return [each for each in self._pairings.values() if each.open]

    def settle(self, request_id: str, outcome: Outcome, *, token: Token | None = None, echo: str = "") -> None:
        """Note how a request ended; it stays until its time is over, for who asks how it stands."""
        found = self._pairings.get(request_id)
        if found is not None and found.outcome is Outcome.WAITING:
            self._replace(found, outcome=outcome, token=token, echo=echo)

    def withdraw(self, request_id: str) -> None:
        """Forget a request; an unknown id is ignored."""
        self._pairings.pop(request_id, None)

    def next_end(self) -> float | None:
        """When the oldest request is over; None: there is none."""
        return min((each.until for each in self._pairings.values()), default=None)

    def _count(self, address: str, now: float) -> None:
        network = network_of(address)
        for who, times, most in (
            (f"{MOST_OF_ONE} pairing requests came from {address}", self._times(network), MOST_OF_ONE),
            (f"{MOST} pairing requests came", self._times(None), MOST),
        ):
            if len(times) >= most:
                raise TooManyPairings(who, max(1, math.ceil(times[0] + LIFE_S - now)))
        self._asked.append((now, network))

    def _times(self, network: str | None) -> list[float]:
        return [at for at, who in self._asked if network in (None, who)]

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
    """What the board's own commands are told of a request."""

    id: str
    binding: str
    name: TokenName
    sha256: Digest
    address: str
    until: float
    here: bool = False


class OpenRequests(msgspec.Struct, frozen=True):
    """The file of requests that wait: of this boot, by whose clock `until` counts."""

    boot_id: str
    requests: tuple[OpenRequest, ...] = ()


class Approval(msgspec.Struct, frozen=True):
    """What the board's own commands tell the gateway, once the token counts: `ID.approved` beside that file."""

    token: Token
    echo: str


APPROVED = ".approved"


def encode(pairings: Sequence[Pairing]) -> bytes:
    """Return the file of these requests."""
    requests = tuple(OpenRequest(p.id, p.binding, p.name, p.sha256, p.address, p.until, p.here) for p in pairings)
    return msgspec.json.encode(OpenRequests(boot_id(), requests))


def read(path: Path) -> tuple[OpenRequest, ...]:
    """Return the requests that wait, from the gateway's file. Raises UsageError where it cannot be read."""
    try:
        found = msgspec.json.decode(path.read_bytes(), type=OpenRequests)
    except FileNotFoundError:
        return ()
    except OSError as err:
        why = f"{path}: {err.strerror or err}"
        raise UsageError(f"{why}; run this as a user who may write the board's state (sudo)") from err
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as err:
        raise UsageError(f"{path}: not a list of pairing requests: {err}") from err
    now = time.monotonic()
    return tuple(each for each in found.requests if found.boot_id == boot_id() and each.until > now)


def approve(
    path: Path, tokens: Tokens, code: Code, scopes: Sequence[Scope], *, name: str = "", replace: bool = False
) -> tuple[Token, OpenRequest]:
    """Let in the request with this code, from the gateway's file at `path`; durable on return.

    Raises UnknownPairing, UsageError, BadTokenFile, StorageError.
    """
    found = _only([each for each in read(path) if each.binding == code.binding], code)
    token = tokens.admit(name or found.name, scopes, sha256=found.sha256, replace=replace)
    try:
        durable.replace_volatile(
            path.with_name(f"{found.id}{APPROVED}"), msgspec.json.encode(Approval(token, code.echo))
        )
    except OSError as err:
        raise StorageError(f"token {token.name!r} counts, but the gateway cannot be told", err) from err
    return token, found


def taken_approval(path: Path) -> Approval | None:
    """Return what stands in an `ID.approved`, and remove it; None where that is no approval."""
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Approval)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        found = None
    with suppress(OSError):
        path.unlink()
    return found


def held_at(path: Path) -> float | None:
    """Return when the button was last held in this boot, by the monotonic clock; None: it was not."""
    try:
        held = msgspec.json.decode(path.read_bytes(), type=ButtonHeld)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return held.at if held.boot_id == boot_id() else None


def _only(found: list[T], code: Code) -> T:
    if len(found) != 1:
        raise UnknownPairing(
            f"no request has the code {code}; it may be older than {LIFE_S / 60:g} min. If a screen shows it now, "
            "something between that machine and this board has another certificate: do not go on"
        )
    return found[0]
