"""Stores unfinished uploads. An upload resumes at its last durable byte after a lost connection or a power cut.

A record for each upload says how many bytes of its content are durable. Bytes behind them are never read.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Protocol

import msgspec

from edge.core import durable, stored
from edge.core.errors import EdgeError
from edge.results.inputs import Inputs

#: Bytes between two syncs. A power cut costs an upload this many bytes at most, and the page cache holds no more of it.
SAVE_BYTES = 8 << 20
_READ_BYTES = 1 << 18
_FOLDER, _CONTENT, _RECORD = ".incoming", ".part", ".json"
_KEPT = 16  # number of interrupted uploads whose hash state is kept, so that their content need not be read again


class Digest(Protocol):
    """A hash that is being computed."""

    def update(self, data: bytes, /) -> None:
        """Add `data`."""

    def hexdigest(self) -> str:
        """Return the hash of all data so far, in hex."""


class WrongHash(EdgeError, ValueError):
    """The received content does not have the announced hash, and is deleted."""

    def __init__(self, expected: str, found: str) -> None:
        self.expected, self.found = expected, found
        super().__init__(
            f"the received content has SHA-256 {found}, not {expected}, and was deleted: send the file again"
        )


class Progress(msgspec.Struct, frozen=True, omit_defaults=True):
    """The record of an upload on the disk."""

    received: int = 0  # bytes that are durable
    bytes: int | None = None  # length of the whole file, or None if it was not announced
    sha256: str = ""  # the announced hash; the hash of the content once the file is stored
    stored: bool = False


class Upload:
    """One upload that is being received. Used by one thread at a time. Methods raise OSError."""

    def __init__(self, incoming: Incoming, key: str, progress: Progress, file: BinaryIO, digest: Digest) -> None:
        self.key, self.received, self.expected = key, progress.received, progress.sha256
        self._incoming, self._file, self._digest = incoming, file, digest
        self._size, self._saved = progress.bytes, progress.received

    def append(self, data: bytes) -> None:
        """Add `data`. After every `SAVE_BYTES` all received data becomes durable."""
        self._file.write(data)
        self._digest.update(data)
        self.received += len(data)
        if self.received - self._saved >= SAVE_BYTES:
            self.save()

    def save(self) -> None:
        """Make the received data durable, and record its length."""
        if self.received == self._saved:
            return
        self._file.flush()
        os.fdatasync(self._file.fileno())
        # A small board needs its page cache for other files.
        os.posix_fadvise(self._file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        self._incoming.note(self.key, Progress(self.received, self._size, self.expected))
        self._saved = self.received

    def seal(self) -> Progress:
        """Check the content and make it durable before `Incoming.store` gives it a name. Raises WrongHash."""
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
        """Close the file. The upload can be resumed after its saved bytes."""
        with suppress(OSError):  # writing the rest of the buffer, which was not saved, may fail
            self._file.close()
        if self._saved == self.received:
            self._incoming.keep(self.key, self.received, self._digest)

    def rewind(self) -> None:
        """Close the file and delete its unsaved bytes: after an error of the disk any of them may be lost.

        Saved bytes stay, because they were synced and the client was told that they are safe.
        """
        self.close()
        if self._saved:
            self._incoming.cut_off(self.key, self._saved)
        else:
            self.discard()

    def discard(self) -> None:
        """Delete all received data."""
        self.close()
        self._incoming.drop(self.key)


class Incoming:
    """The folder of unfinished uploads, inside the folder of stored files. Methods raise OSError.

    Only the gateway uses it. Two threads may work on two different uploads at once.
    """

    def __init__(self, inputs: Inputs) -> None:
        self._inputs = inputs
        self._folder = inputs.root / _FOLDER
        self._digests: dict[str, tuple[int, Digest]] = {}

    def start(self) -> None:
        """Make the folders as `make` does, and remove uploads without saved bytes. No upload may run meanwhile."""
        self.make()
        for path in self._folder.iterdir():
            if path.suffix == _CONTENT and not path.with_suffix(_RECORD).exists():
                path.unlink()

    def make(self) -> None:
        """Make the folders. The names of all stored files are durable on return."""
        durable.make_folder(self._folder, mode=0o750)
        durable.sync_folder(self._inputs.root)

    def sync(self) -> None:
        """Make the records that `find` returns durable. Raises OSError if an earlier disk error may have lost one."""
        durable.sync_folder(self._folder)

    def find(self, key: str) -> Progress | None:
        """Return the record of an upload, or None if nothing of it is saved."""
        try:
            found = stored.read(self._record(key), Progress)
            size = 0 if found.stored else self._content(key).stat().st_size
        except (FileNotFoundError, stored.BadContent):
            return None
        if found.stored:
            return found if self._inputs.size(found.sha256) is not None else None
        return found if size >= found.received else None

    def begin(self, key: str, *, size: int | None, sha256: str, resume: bool) -> Upload:
        """Return the upload at its last durable byte, or at 0 if nothing of it is saved or `resume` is False.

        The bytes received before may have to be hashed again, which takes a while for a large file.
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
            file.truncate(progress.received)  # bytes behind it were not saved, so a power cut may have damaged them
            digest = self._digest(key, file, progress.received)
        except BaseException:
            file.close()
            raise
        return Upload(self, key, progress, file, digest)

    def _digest(self, key: str, file: BinaryIO, received: int) -> Digest:
        """Return the hash state of the bytes received before. The position of `file` is behind them afterwards."""
        kept = self._digests.pop(key, None)
        if kept is not None and kept[0] == received:
            file.seek(received)
            return kept[1]
        digest = hashlib.sha256()
        while block := file.read(_READ_BYTES):
            digest.update(block)
        return digest

    def keep(self, key: str, received: int, digest: Digest) -> None:
        """Remember the hash state of an upload after `received` bytes."""
        self._digests[key] = (received, digest)
        while len(self._digests) > _KEPT:
            self._digests.pop(next(iter(self._digests)), None)

    def note(self, key: str, progress: Progress) -> None:
        """Write the record of an upload durably."""
        durable.replace(self._record(key), msgspec.json.encode(progress))

    def store(self, key: str, done: Progress) -> None:
        """Give a complete, synced upload its final name, durable on return. A file with the same content stays."""
        target, content = self._inputs.path(done.sha256), self._content(key)
        if self._inputs.size(done.sha256) == done.received:
            durable.sync_folder(self._inputs.root)
            self.drop(key)
        else:
            content.replace(target)
            durable.sync_folder(self._inputs.root)
            self._record(key).unlink(missing_ok=True)

    def remember(self, key: str, done: Progress) -> None:
        """Keep the record of a stored upload, for a client that did not receive the answer."""
        durable.replace(self._record(key), msgspec.json.encode(done))

    def cut_off(self, key: str, received: int) -> None:
        """Delete the bytes of an upload behind the first `received` bytes."""
        os.truncate(self._content(key), received)

    def drop(self, key: str) -> None:
        """Remove all of an upload."""
        self._digests.pop(key, None)
        self._record(key).unlink(missing_ok=True)
        self._content(key).unlink(missing_ok=True)

    def all(self) -> Iterator[tuple[str, int, float]]:
        """Yield key, bytes on the disk and time of the last save for each upload."""
        for path in sorted(self._folder.glob(f"*{_RECORD}")):
            with suppress(FileNotFoundError):
                content = self._content(path.stem)
                size = content.stat().st_size if content.exists() else 0
                yield path.stem, size, path.stat().st_mtime

    def _record(self, key: str) -> Path:
        return self._folder / f"{key}{_RECORD}"

    def _content(self, key: str) -> Path:
        return self._folder / f"{key}{_CONTENT}"
