"""Uploads that are not finished: each resumes at the last byte that is safe, after a lost connection or a power cut.

A record beside the content says how many bytes of it are durable. What a power cut left behind them is not looked at.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Protocol

import msgspec

from edge.core import durable
from edge.core.errors import EdgeError
from edge.results.inputs import Inputs

#: Bytes between two syncs: the most that a power cut costs an upload, and that the page cache holds of it.
SAVE_BYTES = 8 << 20
_READ_BYTES = 1 << 18
_FOLDER, _CONTENT, _RECORD = ".incoming", ".part", ".json"
_KEPT = 16  # hashes of uploads that were broken off, so that they need not be read again


class Digest(Protocol):
    """A hash that is being computed."""

    def update(self, data: bytes, /) -> None:
        """Add `data`."""

    def hexdigest(self) -> str:
        """The hash of all that was added."""


class WrongHash(EdgeError, ValueError):
    """The content that arrived has another hash than was announced; it is thrown away."""

    def __init__(self, expected: str, found: str) -> None:
        self.expected, self.found = expected, found
        super().__init__(f"what arrived has SHA-256 {found}, not {expected}; it is thrown away: send the file again")


class Progress(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is known of an upload, as its record on the disk has it."""

    received: int = 0  # bytes that are durable
    bytes: int | None = None  # of the whole file, or None if it was not announced
    sha256: str = ""  # announced; once it is stored, the one that its content has
    stored: bool = False


class Upload:
    """One upload that is being received. Used by one thread at a time. Methods raise OSError."""

    def __init__(self, incoming: Incoming, key: str, progress: Progress, file: BinaryIO, digest: Digest) -> None:
        self.key, self.received, self.expected = key, progress.received, progress.sha256
        self._incoming, self._file, self._digest = incoming, file, digest
        self._size, self._saved = progress.bytes, progress.received

    def append(self, data: bytes) -> None:
        """Add `data`; every few megabytes all of it becomes durable."""
        self._file.write(data)
        self._digest.update(data)
        self.received += len(data)
        if self.received - self._saved >= SAVE_BYTES:
            self.save()

    def save(self) -> None:
        """Make durable what has arrived, and note how much that is."""
        if self.received == self._saved:
            return
        self._file.flush()
        os.fdatasync(self._file.fileno())
        # The page cache of a small board has better uses.
        os.posix_fadvise(self._file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        self._incoming.note(self.key, Progress(self.received, self._size, self.expected))
        self._saved = self.received

    def seal(self) -> Progress:
        """Check the content and make it durable, so that `Incoming.store` may name it. Raises WrongHash."""
        found = self._digest.hexdigest()
        if self.expected not in ("", found):
            self.discard()
            raise WrongHash(self.expected, found)
        self._file.flush()
        os.fchmod(self._file.fileno(), 0o440)
        os.fsync(self._file.fileno())
        self.close()
        return Progress(self.received, self.received, found, stored=True)

    def close(self) -> None:
        """Close the file; what was saved of it can be resumed."""
        with suppress(OSError):  # the rest of its buffer, which was not saved
            self._file.close()
        if self._saved == self.received:
            self._incoming.keep(self.key, self.received, self._digest)

    def rewind(self) -> None:
        """Close the file, and throw away what was not saved of it: a disk that refuses it may have dropped any of that.

        What was saved before stays, because it was synced, and somebody was told that it is safe.
        """
        self.close()
        if self._saved:
            self._incoming.cut_off(self.key, self._saved)
        else:
            self.discard()

    def discard(self) -> None:
        """Throw away what has arrived."""
        self.close()
        self._incoming.drop(self.key)


class Incoming:
    """The folder of unfinished uploads, below that of the stored files. Methods raise OSError.

    The gateway alone uses it. Two threads may work on two uploads at once.
    """

    def __init__(self, inputs: Inputs) -> None:
        self._inputs = inputs
        self._folder = inputs.root / _FOLDER
        self._digests: dict[str, tuple[int, Digest]] = {}

    def start(self) -> None:
        """As `make`, and remove uploads of which nothing was saved. Nobody else may be receiving any."""
        self.make()
        for path in self._folder.iterdir():
            if path.suffix == _CONTENT and not path.with_suffix(_RECORD).exists():
                path.unlink()

    def make(self) -> None:
        """Make the folders; what was stored before is durable on return."""
        durable.make_folder(self._folder, mode=0o750)
        durable.sync_folder(self._inputs.root)

    def sync(self) -> None:
        """Make durable what `find` returns. It raises if an earlier error of the disk has left anything in doubt."""
        durable.sync_folder(self._folder)

    def find(self, key: str) -> Progress | None:
        """What is known of an upload, or None if nothing was saved of it."""
        try:
            found = msgspec.json.decode(self._record(key).read_bytes(), type=Progress)
            size = 0 if found.stored else self._content(key).stat().st_size
        except (FileNotFoundError, msgspec.DecodeError):
            return None
        if found.stored:
            return found if self._inputs.size(found.sha256) is not None else None
        return found if size >= found.received else None

    def begin(self, key: str, *, size: int | None, sha256: str, resume: bool) -> Upload:
        """Return the upload at its last safe byte, or at 0 if nothing of it is left or `resume` is false.

        What was received before is hashed once more, which takes a while for a large file.
        """
        progress = self.find(key) if resume else None
        if progress is None or progress.stored:
            progress = Progress(0, size, sha256)
            self._record(key).unlink(missing_ok=True)
        progress = msgspec.structs.replace(progress, bytes=size, sha256=sha256 or progress.sha256)
        path = self._content(key)
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        file = os.fdopen(fd, "r+b")
        try:
            file.truncate(progress.received)  # what lies behind was not saved, so a power cut may have torn it
            digest = self._digest(key, file, progress.received)
        except BaseException:
            file.close()
            raise
        return Upload(self, key, progress, file, digest)

    def _digest(self, key: str, file: BinaryIO, received: int) -> Digest:
        """The hash of what was received before; the file stands at its end afterwards."""
        kept = self._digests.pop(key, None)
        if kept is not None and kept[0] == received:
            file.seek(received)
            return kept[1]
        digest = hashlib.sha256()
        while block := file.read(_READ_BYTES):
            digest.update(block)
        return digest

    def keep(self, key: str, received: int, digest: Digest) -> None:
        """Remember the hash of an upload up to here."""
        self._digests[key] = (received, digest)
        while len(self._digests) > _KEPT:
            self._digests.pop(next(iter(self._digests)), None)

    def note(self, key: str, progress: Progress) -> None:
        """Record durably how much of an upload is there."""
        durable.replace(self._record(key), msgspec.json.encode(progress))

    def store(self, key: str, done: Progress) -> None:
        """Give a complete, synced upload its name; durable on return. A file with the same content stays as it is."""
        target, content = self._inputs.path(done.sha256), self._content(key)
        if self._inputs.size(done.sha256) == done.received:
            durable.sync_folder(self._inputs.root)
            self.drop(key)
        else:
            content.replace(target)
            durable.sync_folder(self._inputs.root)
            self._record(key).unlink(missing_ok=True)

    def remember(self, key: str, done: Progress) -> None:
        """Note what a stored upload was called, for a client that did not get the answer."""
        durable.replace(self._record(key), msgspec.json.encode(done))

    def cut_off(self, key: str, received: int) -> None:
        """Give back the room behind the first `received` bytes of an upload."""
        os.truncate(self._content(key), received)

    def drop(self, key: str) -> None:
        """Remove all of an upload."""
        self._digests.pop(key, None)
        self._record(key).unlink(missing_ok=True)
        self._content(key).unlink(missing_ok=True)

    def all(self) -> Iterator[tuple[str, int, float]]:
        """Key, bytes on the disk and time of the last save of each upload."""
        for path in sorted(self._folder.glob(f"*{_RECORD}")):
            with suppress(FileNotFoundError):
                content = self._content(path.stem)
                size = content.stat().st_size if content.exists() else 0
                yield path.stem, size, path.stat().st_mtime

    def _record(self, key: str) -> Path:
        return self._folder / f"{key}{_RECORD}"

    def _content(self, key: str) -> Path:
        return self._folder / f"{key}{_CONTENT}"
