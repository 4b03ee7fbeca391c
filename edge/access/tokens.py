"""Bearer tokens of the gateway: shown once, kept as hashes.

`edge token` writes `tokens.json`, the gateway reads it. What an admin approves over HTTP stands in a second file, since
on an appliance the gateway may not write the first one; the tokens of both count alike. A token holds 256 random bits,
so a plain SHA-256 of it cannot be searched; only passwords need a slow hash.
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

from edge.core import durable
from edge.core.errors import StorageError, UsageError
from edge.model.pairing import Digest, TokenName

PREFIX = "edge_"
#: Names that mean something as a submitter and so belong to no token.
RESERVED = frozenset({"local", "amqp"})


class Scope(StrEnum):
    """What a token allows: `submit` sees and ends its own jobs, `read` sees all, `admin` may do all a person does.

    `run` hands in jobs as `submit` does, those of commands that ask for it too: any program, where `allow_any` is set.
    `node` is for a board that works for this one: it sees how jobs stand, and hands their results in.
    """

    SUBMIT = "submit"
    READ = "read"
    RUN = "run"
    ADMIN = "admin"
    NODE = "node"


class Token(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A token as the file keeps it: who it was given to, and its hash."""

    name: TokenName
    sha256: Digest
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


class TokenExists(UsageError):
    """Another token has this name."""

    def __init__(self, name: str, *, cure: str = "revoke it first or choose another name") -> None:
        self.name = name
        super().__init__(f"token {name!r} exists; {cure}")


class Tokens:
    """The token file at `path`, and the one of tokens that the gateway let in; a missing file holds none."""

    def __init__(self, path: Path, *, paired: Path | None = None) -> None:
        self._path, self._paired = path, paired

    def list(self) -> tuple[Token, ...]:
        """Every token, oldest first in each file. Raises BadTokenFile."""
        return tuple(token for path in self._files() for token in _read(path))

    def add(self, name: str, scopes: Sequence[Scope]) -> str:
        """Make a token and return it: the only time it can be seen. Durable on return.

        Raises UsageError on a name that is taken or unusable, BadTokenFile, StorageError.
        """
        secret = new_secret()
        self.admit(name, scopes, sha256=digest(secret))
        return secret

    def admit(
        self, name: str, scopes: Sequence[Scope], *, sha256: str, replace: bool = False, by_gateway: bool = False
    ) -> Token:
        """Let in who has the token with this hash; durable on return.

        Args:
            name: what it is called here.
            scopes: what it may do.
            sha256: its hash; with one that is known already nothing is changed.
            replace: revoke another token of this name.
            by_gateway: write the file of the gateway.

        Raises:
            TokenExists: another token has the name.
            UsageError: the name or the scopes are not usable.
            BadTokenFile: a file cannot be read.
            StorageError: the file cannot be written.
        """
        token = _new_token(name, scopes, sha256)
        with self._alone():
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
        """Add these tokens; one whose name is taken acts as the same submitter. Durable on return.

        Raises BadTokenFile, StorageError.
        """
        with self._alone():
            known = {token.sha256 for token in self.list()}
            self._write(self._path, (*_read(self._path), *(token for token in more if token.sha256 not in known)))

    def allow(self, name: str, scopes: Sequence[Scope]) -> None:
        """Let the token called `name` do `scopes` and nothing else, from its next request on. Durable on return.

        The token itself stays as it is, so whoever holds it need not be given another one.

        Raises UsageError when there is none, BadTokenFile, StorageError.
        """
        _check_scopes(name, scopes)
        with self._alone():
            _check_known(name, self.list())
            self._rewrite(
                lambda token: msgspec.structs.replace(token, scopes=_ordered(scopes)) if token.name == name else token
            )

    def revoke(self, name: str) -> None:
        """Forget the token called `name`; the gateway refuses it from its next request on. Durable on return.

        Raises UsageError when there is none, BadTokenFile, StorageError.
        """
        with self._alone():
            _check_known(name, self.list())
            self._rewrite(lambda token: None if token.name == name else token)

    def _files(self) -> tuple[Path, ...]:
        return (self._path,) if self._paired is None else (self._path, self._paired)

    def _rewrite(self, change: Callable[[Token], Token | None]) -> None:
        """Apply `change` to each token, None removing it, and write the files that differ."""
        for path in self._files():
            tokens = _read(path)
            changed = tuple(token for token in map(change, tokens) if token is not None)
            if changed != tokens:
                self._write(path, changed)

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
    """Return the hash by which a token is known."""
    return sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


def check_name(name: str) -> None:
    """Raise UsageError where `name` cannot be one of a token."""
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
        return msgspec.json.decode(path.read_bytes(), type=_File).tokens
    except FileNotFoundError:
        return ()
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as err:
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
    """The token that `secret` is, or None; takes the same time whichever it is."""
    wanted = digest(secret)
    found = None
    for token in tokens:
        if compare_digest(token.sha256, wanted):
            found = token
    return found
