"""Bearer tokens of the gateway: shown once, kept as hashes in one file.

`edge token` writes the file, the gateway reads it. A token holds 256 random bits, so a plain SHA-256 of it
cannot be searched; only passwords need a slow hash.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from hashlib import sha256
from hmac import compare_digest
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from edge.core import durable
from edge.core.errors import StorageError, UsageError

PREFIX = "edge_"
TokenName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
#: Names that mean something as a submitter and so belong to no token.
RESERVED = frozenset({"local", "amqp"})


class Scope(StrEnum):
    """What a token allows: `submit` sees and ends its own jobs, `read` sees all, `admin` may do all a person does.

    `node` is for a board that works for this one: it sees how jobs stand, and hands their results in.
    """

    SUBMIT = "submit"
    READ = "read"
    ADMIN = "admin"
    NODE = "node"


class Token(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A token as the file keeps it: who it was given to, and its hash."""

    name: TokenName
    sha256: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]
    scopes: tuple[Scope, ...]
    created_at: float = 0.0


class _File(msgspec.Struct, frozen=True):
    tokens: tuple[Token, ...] = ()
    format: int = 1


class BadTokenFile(UsageError):
    """The token file is there, but it is not one; nobody is let in by it."""

    exit_code = 1

    def __init__(self, path: Path, reason: str) -> None:
        self.path, self.reason = path, reason
        super().__init__(f"token file {path}: {reason}")


class Tokens:
    """The token file at `path`; a missing file holds no tokens."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def list(self) -> tuple[Token, ...]:
        """Every token, oldest first. Raises BadTokenFile."""
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=_File).tokens
        except FileNotFoundError:
            return ()
        except (OSError, msgspec.DecodeError, UnicodeDecodeError) as err:
            raise BadTokenFile(self._path, str(err)) from err

    def add(self, name: str, scopes: Sequence[Scope]) -> str:
        """Make a token and return it: the only time it can be seen. Durable on return.

        Raises UsageError on a name that is taken or unusable, BadTokenFile, StorageError.
        """
        secret = PREFIX + secrets.token_urlsafe(32)
        digest = sha256(secret.encode()).hexdigest()
        _check_scopes(name, scopes)
        if name in RESERVED:
            raise UsageError(f"token name {name!r} is reserved")
        try:
            record = {"name": name, "sha256": digest, "scopes": _ordered(scopes), "created_at": time.time()}
            token = msgspec.convert(record, Token)
        except msgspec.ValidationError as err:
            raise UsageError(
                f"token name {name[:80]!r}: 1 to 64 of A-Z a-z 0-9 . _ - starting with a letter or digit"
            ) from err
        with self._alone():
            tokens = self.list()
            if any(other.name == name for other in tokens):
                raise UsageError(f"token {name!r} exists; revoke it first or choose another name")
            self._write((*tokens, token))
        return secret

    def keep(self, more: Iterable[Token]) -> None:
        """Let in who has one of these too, whatever its name: two that share one act as one. Durable on return.

        Raises BadTokenFile, StorageError.
        """
        with self._alone():
            self._write((*self.list(), *more))

    def allow(self, name: str, scopes: Sequence[Scope]) -> None:
        """Let the token called `name` do `scopes` and nothing else, from its next request on. Durable on return.

        The token itself stays as it is, so whoever holds it need not be given another one.

        Raises UsageError when there is none, BadTokenFile, StorageError.
        """
        _check_scopes(name, scopes)
        with self._alone():
            tokens = self.list()
            _check_known(name, tokens)
            self._write(
                tuple(
                    msgspec.structs.replace(token, scopes=_ordered(scopes)) if token.name == name else token
                    for token in tokens
                )
            )

    def revoke(self, name: str) -> None:
        """Forget the token called `name`; the gateway refuses it from its next request on. Durable on return.

        Raises UsageError when there is none, BadTokenFile, StorageError.
        """
        with self._alone():
            tokens = self.list()
            _check_known(name, tokens)
            self._write(tuple(token for token in tokens if token.name != name))

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold off a second `edge token` meanwhile."""
        try:
            durable.make_folder(self._path.parent)
            # Not the folder itself, which workers hold. Empty, and made by whoever comes first: all may open it, but
            # in a sticky folder Debian refuses O_CREAT for another's file.
            path = self._path.with_suffix(".lock")
            fd = os.open(path, os.O_RDONLY | (0 if path.exists() else os.O_CREAT), 0o644)
        except OSError as err:
            raise StorageError("cannot open the lock of the token file", err) from err
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)

    def _write(self, tokens: tuple[Token, ...]) -> None:
        content = msgspec.json.format(msgspec.json.encode(_File(tokens)), indent=2) + b"\n"
        try:
            durable.replace(self._path, content)
        except OSError as err:
            raise StorageError("cannot write the token file", err) from err


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
    """The token that `secret` is, or None; takes the same time whichever it is."""
    digest = sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()
    found = None
    for token in tokens:
        if compare_digest(token.sha256, digest):
            found = token
    return found
