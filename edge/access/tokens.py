"""Makes and stores the bearer tokens of the gateway. A token is shown once, and only its hash is stored.

`edge token` writes `tokens.json`, and the gateway reads it. Tokens that an admin approves over HTTP are stored in a
second file, because on an appliance the gateway may not write the first one. The tokens of both files are equally
valid. A token holds 256 random bits, so nobody can find it from its SHA-256 by trying. Only passwords need a slow hash.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from hashlib import sha256
from hmac import compare_digest
from pathlib import Path

import msgspec

from edge.core import durable, stored
from edge.core.errors import StorageError, UsageError
from edge.model.pairing import Digest, TokenName

PREFIX = "edge_"
#: Names that have a meaning as submitters, so no token may have them.
RESERVED = frozenset({"local", "amqp"})


class Scope(StrEnum):
    """What a token allows.

    `submit` submits jobs, and sees and ends its own jobs. `read` sees all jobs. `admin` may do everything that a person
    does. `run` is like `submit`, and may also run commands that need the scope `run`, such as any program if
    `allow_any` is set. `node` is for a board that works for this one: it sees the state of jobs, and hands in results.
    """

    SUBMIT = "submit"
    READ = "read"
    RUN = "run"
    ADMIN = "admin"
    NODE = "node"


class Token(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A token in the file: its name, the hash of its secret, and its scopes."""

    name: TokenName
    sha256: Digest
    scopes: tuple[Scope, ...]
    created_at: float = 0.0


class _File(msgspec.Struct, frozen=True):
    tokens: tuple[Token, ...] = ()
    format: int = 1


class BadTokenFile(UsageError):
    """The token file exists, but it cannot be read as one. No token in it is accepted."""

    exit_code = 1

    def __init__(self, path: Path, reason: str) -> None:
        self.path, self.reason = path, reason
        super().__init__(f"token file {path}: {reason}")


class TokenExists(UsageError):
    """Another token has this name already."""

    def __init__(self, name: str, *, cure: str = "revoke it first or choose another name") -> None:
        self.name = name
        super().__init__(f"token {name!r} exists; {cure}")


class Tokens:
    """Reads and changes the two token files: `path`, and `paired` with the tokens that the gateway approved.

    A missing file has no tokens. Methods block; they may be called in any thread and any process, because a lock
    allows one change at a time.
    """

    def __init__(self, path: Path, *, paired: Path | None = None) -> None:
        self._path, self._paired = path, paired

    def list(self) -> tuple[Token, ...]:
        """Return every token, oldest first in each file. Raises BadTokenFile."""
        return tuple(token for path in self._files() for token in _read(path))

    def add(self, name: str, scopes: Sequence[Scope]) -> str:
        """Make a token and return its secret, which cannot be read later. Durable on return.

        Raises UsageError if the name is taken or invalid, BadTokenFile, StorageError.
        """
        secret = new_secret()
        self.admit(name, scopes, sha256=digest(secret))
        return secret

    def admit(
        self, name: str, scopes: Sequence[Scope], *, sha256: str, replace: bool = False, by_gateway: bool = False
    ) -> Token:
        """Store a token whose secret somebody else has made. Durable on return.

        Args:
            name: name of the token.
            scopes: scopes of the token.
            sha256: hash of its secret. If a token with this hash exists, nothing is changed.
            replace: revoke another token of this name.
            by_gateway: write the gateway's file, not `tokens.json`.

        Returns:
            The stored token, or the existing one with the same hash.

        Raises:
            TokenExists: another token has the name.
            UsageError: the name or the scopes cannot be used.
            BadTokenFile: a file cannot be read.
            StorageError: the file cannot be written.
        """
        token = _new_token(name, scopes, sha256)
        with self._locked():
            tokens = self.list()
            for other in tokens:
                if other.sha256 == sha256:
                    return other
                if other.name == name and not replace:
                    raise TokenExists(name)
            if any(other.name == name for other in tokens):
                self._rewrite(lambda other: None if other.name == name else other)
            path = self._paired if by_gateway and self._paired is not None else self._path
            self._write(path, (*_read(path), token))
        return token

    def keep(self, more: Iterable[Token]) -> None:
        """Add these tokens. Durable on return.

        A token may have the name of another one. Then both act as the same submitter.

        Raises BadTokenFile, StorageError.
        """
        with self._locked():
            known = {token.sha256 for token in self.list()}
            self._write(self._path, (*_read(self._path), *(token for token in more if token.sha256 not in known)))

    def allow(self, name: str, scopes: Sequence[Scope]) -> None:
        """Give the token called `name` exactly these scopes, from its next request on. Durable on return.

        The secret stays the same, so its owner needs no new one.

        Raises UsageError if there is no such token, BadTokenFile, StorageError.
        """
        _check_scopes(name, scopes)
        with self._locked():
            _check_known(name, self.list())
            self._rewrite(
                lambda token: msgspec.structs.replace(token, scopes=_ordered(scopes)) if token.name == name else token
            )

    def revoke(self, name: str) -> None:
        """Remove the token called `name`. The gateway refuses it from its next request on. Durable on return.

        Raises UsageError if there is no such token, BadTokenFile, StorageError.
        """
        with self._locked():
            _check_known(name, self.list())
            self._rewrite(lambda token: None if token.name == name else token)

    def _files(self) -> tuple[Path, ...]:
        return (self._path,) if self._paired is None else (self._path, self._paired)

    def _rewrite(self, change: Callable[[Token], Token | None]) -> None:
        """Replace each token by the result of `change`, or remove it if that is None. Write the files that changed."""
        for path in self._files():
            tokens = _read(path)
            changed = tuple(token for token in map(change, tokens) if token is not None)
            if changed != tokens:
                self._write(path, changed)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the lock of the token files, so that only one process or thread changes them. Raises StorageError."""
        try:
            durable.make_folder(self._path.parent)
            # The lock is not on the folder itself, because workers hold that. The first process makes the empty lock
            # file, and all others may open it. They must not use O_CREAT: in a sticky folder Debian refuses that for
            # the file of another user.
            path = self._path.with_suffix(".lock")
            fd = os.open(path, os.O_RDONLY | (0 if path.exists() else os.O_CREAT), 0o644)
        except OSError as err:
            raise StorageError("cannot open the lock of the token file", err) from err
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)

    def _write(self, path: Path, tokens: tuple[Token, ...]) -> None:
        content = msgspec.json.format(msgspec.json.encode(_File(tokens)), indent=2) + b"\n"
        try:
            durable.make_folder(path.parent)
            durable.replace(path, content)
        except OSError as err:
            raise StorageError("cannot write the token file", err) from err


def new_secret() -> str:
    """Return a new random token."""
    return PREFIX + secrets.token_urlsafe(32)


def digest(secret: str) -> str:
    """Return the hash under which a token is stored."""
    return sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


def check_name(name: str) -> None:
    """Raise UsageError if `name` cannot be the name of a token."""
    _new_token(name, [Scope.SUBMIT], "0" * 64)


def _new_token(name: str, scopes: Sequence[Scope], token_sha256: str) -> Token:
    _check_scopes(name, scopes)
    if name in RESERVED:
        raise UsageError(f"token name {name!r} is reserved")
    try:
        record = {"name": name, "sha256": token_sha256, "scopes": _ordered(scopes), "created_at": time.time()}
        return msgspec.convert(record, Token)
    except msgspec.ValidationError as err:
        raise UsageError(
            f"token name {name[:80]!r}: 1 to 64 of A-Z a-z 0-9 . _ - starting with a letter or digit"
        ) from err


def _read(path: Path) -> tuple[Token, ...]:
    try:
        return stored.read(path, _File).tokens
    except FileNotFoundError:
        return ()
    except (OSError, stored.BadContent) as err:
        raise BadTokenFile(path, str(err)) from err


def _ordered(scopes: Iterable[Scope]) -> tuple[Scope, ...]:
    return tuple(sorted(set(scopes)))


def _check_scopes(name: str, scopes: Sequence[Scope]) -> None:
    if not scopes:
        raise UsageError(f"token {name[:80]!r}: give it at least one scope of {', '.join(Scope)}")


def _check_known(name: str, tokens: Sequence[Token]) -> None:
    if all(token.name != name for token in tokens):
        names = ", ".join(token.name for token in tokens) or "none"
        raise UsageError(f"no token {name[:80]!r}: there are {names}")


def matching(tokens: Sequence[Token], secret: str) -> Token | None:
    """Return the token with this secret, or None. The time does not depend on which token matches, or if none does."""
    wanted = digest(secret)
    found = None
    for token in tokens:
        if compare_digest(token.sha256, wanted):
            found = token
    return found
