"""Receives and stores the input files of jobs: uploads, the files that jobs name, and free space on the disk."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256 as hash_of
from typing import ParamSpec, TypeVar

import msgspec

from edge.config import Config
from edge.core.errors import EdgeError, StorageError, UnknownInput, UsageError
from edge.core.text import size as in_words
from edge.gateway.http.problems import Busy, TooLarge
from edge.model import InputFile
from edge.results.incoming import Incoming, Progress, Upload
from edge.results.inputs import Inputs, is_sha256
from edge.wire import FileView

P = ParamSpec("P")
T = TypeVar("T")

#: Largest number of uploads that are received at once. Each needs a thread for its writes, and a part of the
#: card's speed.
AT_ONCE = 8
_BLOCK_BYTES = 1 << 18  # written and hashed in one call


@contextmanager
def disk_errors() -> Iterator[None]:
    """Raise StorageError for an OSError of the disk inside the block. Errors of ours, as NoRoom, pass unchanged."""
    try:
        yield
    except OSError as err:
        if isinstance(err, EdgeError):
            raise
        raise StorageError("cannot use the input files of jobs", err) from err


class NoRoom(StorageError):
    """The disk has no room for a file and for the reserve `gateway.files.spare_bytes`."""

    def __init__(self, needed: int, free: int, spare: int) -> None:
        self.needed, self.free = needed, free
        EdgeError.__init__(
            self,
            f"the file needs {in_words(needed)}; {in_words(max(0, free))} are free, not counting the {in_words(spare)}"
            " that are kept for results (gateway.files.spare_bytes)",
        )


class WrongOffset(EdgeError, ValueError):
    """The part that was sent does not begin where the upload continues. `received` is the right offset in bytes."""

    def __init__(self, start: int, received: int, why: str = "") -> None:
        self.received = received
        super().__init__(why or f"the upload continues at byte {received}; the part that was sent begins at {start}")


class Files:
    """Holds the input files of one board. Coroutines run on the gateway's loop, other methods in any thread."""

    def __init__(self, config: Config) -> None:
        self._limits = config.gateway.files
        self.inputs = Inputs(config.layout.files)
        self.incoming = Incoming(self.inputs)
        self._lock = threading.Lock()
        self._used: dict[str, float] = {}  # by hash: monotonic time of the last store or use
        self._naming: set[str] = set()  # files whose name may not be durable; no answer mentions them
        self._storing = asyncio.Lock()
        self._active: dict[str, asyncio.Task[object]] = {}
        self._expected: dict[str, int] = {}  # bytes that each active upload still expects, by key

    def start(self) -> None:
        """Make the stored files durable, and remove uploads of which nothing was saved. Raises StorageError."""
        with disk_errors():
            self.incoming.start()

    # ---- jobs ----

    def filled(self, files: Mapping[str, InputFile]) -> dict[str, InputFile]:
        """Return `files` with size and name filled in for each.

        Raises:
            UnknownInput: a file is not stored here.
            UsageError: the stated size of a file is wrong.
            StorageError: the disk cannot be read.
        """
        return {name: self._filled(name, file) for name, file in files.items()}

    def _filled(self, name: str, file: InputFile) -> InputFile:
        size = self._use(file.sha256)
        if size is None:
            raise UnknownInput(name, file.sha256)
        if file.bytes not in (None, size):
            raise UsageError(f"files.{name}: bytes = {file.bytes}: the file with this SHA-256 has {size}")
        return msgspec.structs.replace(file, name=file.name or name, bytes=size)

    def _use(self, sha256: str) -> int | None:
        """Return the size of a stored file in bytes, or None if it is not stored. Its use delays its removal."""
        with self._lock:
            with disk_errors():
                size = None if sha256 in self._naming else self.inputs.size(sha256)
            if size is not None:
                self._used[sha256] = time.monotonic()
            return size

    def idle_s(self, sha256: str) -> float:
        """Return the seconds since a file was stored or named, or infinity if that was before the gateway started."""
        return time.monotonic() - self._used.get(sha256, float("-inf"))

    def remove(self, sha256: str, *, unless_used_s: float) -> bool:
        """Remove a stored file, unless it was named in the last `unless_used_s` seconds. Raises OSError."""
        with self._lock:
            if self.idle_s(sha256) < unless_used_s:
                return False
            self.inputs.path(sha256).unlink(missing_ok=True)
            self._used.pop(sha256, None)
            return True

    def usage(self) -> tuple[int, int, int]:
        """Return the number of stored files, their bytes, and the bytes of unfinished uploads. Raises OSError."""
        sizes = [size for sha256 in self.inputs.stored() if (size := self.inputs.size(sha256)) is not None]
        return len(sizes), sum(sizes), sum(size for _, size, _ in self.incoming.all())

    # ---- uploads ----

    def look(self, name: str, submitter: str) -> FileView | None:
        """Return the stored file with this hash, or the state of an upload, or None. Raises StorageError.

        The returned state is durable. Without a sync, an error of the disk could leave a record that a power cut would
        take back.
        """
        found = self._found(name, submitter)
        if found is not None and not found.stored:
            with disk_errors():
                self.incoming.sync()
        return found

    def _found(self, name: str, submitter: str) -> FileView | None:
        """Return the same as `look`, but the state of an unfinished upload may not be durable. Raises StorageError."""
        if is_sha256(name) and (size := self._use(name)) is not None:
            return FileView(size, size, name, stored=True)
        with disk_errors():
            found = self.incoming.find(_key(name, submitter))
        return None if found is None else _view(found)

    def receiving(self, key: str) -> bool:
        """Return True while the upload with this key is being received. `incoming.all()` returns the keys."""
        return key in self._active

    async def receive(
        self,
        name: str,
        submitter: str,
        chunks: Callable[[], Awaitable[bytes]],
        *,
        start: int | None,
        size: int | None,
        sha256: str = "",
        keep: bool = True,
    ) -> tuple[FileView, bool]:
        """Receive a part of an upload, or all of it.

        Args:
            name: name of the upload. If it is a SHA-256, the content must have this hash.
            submitter: name of the sender. Other senders do not see the upload before it is stored.
            chunks: returns the next bytes, or empty bytes at the end.
            start: offset of the first byte; 0 starts the upload again. None if the client sends no bytes and asks
                where the upload continues.
            size: bytes of the whole file, or None if only the end of the body tells the size.
            sha256: SHA-256 of the content, or an empty text if it is not known or is the name.
            keep: keep the bytes that have arrived if the connection is lost.

        Returns:
            The present state of the upload, and whether the file is new on this board.

        Raises:
            TooLarge, NoRoom: before the first byte if `size` is known, otherwise as soon as the limit is passed.
                NoRoom also later, if something else fills the disk.
            WrongOffset: the upload continues at another offset, or another file was announced under this name.
            WrongHash: the content does not have the announced hash.
            Busy: too many uploads are running.
            StorageError: the disk refuses the file.
        """
        sha256 = name if is_sha256(name) else sha256
        key = _key(name, submitter)
        if size is not None and size > self._limits.max_bytes:
            raise TooLarge(
                f"the file has {size} bytes; at most {self._limits.max_bytes} are taken (gateway.files.max_bytes)"
            )
        await self._end_earlier(key)
        if len(self._active) >= AT_ONCE:
            raise Busy(f"{AT_ONCE} uploads are running, which is the most at once; try again in 5 s", retry_after_s=5)
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("uploads are received in a task")
        self._active[key] = task
        try:
            known = await asyncio.to_thread(self._known, name, submitter, sha256)
            if known is not None and known.stored and known.sha256 == sha256:
                return known, False
            if known is not None and (start == 0 or (difference := _difference(known, size, sha256))):
                if start:
                    raise WrongOffset(start, 0, f"upload {name!r}: {difference}; another file begins at byte 0")
                known = None
            if known is not None and known.stored:  # a repeated last part: the first answer to it was lost
                return known, False
            return await self._receive(key, chunks, known, start=start, size=size, sha256=sha256, keep=keep)
        except OSError as err:
            if isinstance(err, EdgeError | ConnectionError | TimeoutError):
                raise
            raise StorageError("cannot store an input file", err) from err
        finally:
            self._expected.pop(key, None)
            if self._active.get(key) is task:
                del self._active[key]

    def _known(self, name: str, submitter: str, sha256: str) -> FileView | None:
        """Return the stored file with the announced hash, or else what `_found` returns. Raises StorageError."""
        if sha256 and (stored := self._found(sha256, submitter)) is not None and stored.stored:
            return stored
        return self._found(name, submitter)

    async def _end_earlier(self, key: str) -> None:
        """Cancel an earlier request of this upload. Its client has come back, so the old connection is lost."""
        while (earlier := self._active.get(key)) is not None:
            earlier.cancel()
            await asyncio.wait([earlier])

    async def _receive(
        self,
        key: str,
        chunks: Callable[[], Awaitable[bytes]],
        known: FileView | None,
        *,
        start: int | None,
        size: int | None,
        sha256: str,
        keep: bool,
    ) -> tuple[FileView, bool]:
        received = 0 if known is None else known.received
        if start not in (None, received):
            raise WrongOffset(start or 0, received)
        self._reserve(key, (size or 0) - received)
        if start is None and received != size:
            await _finished(self.incoming.sync)
            return FileView(received, size, sha256 or ("" if known is None else known.sha256)), False
        upload = await _finished(self.incoming.begin, key, size=size, sha256=sha256, resume=known is not None)
        try:
            if upload.received != received:
                raise WrongOffset(start or 0, upload.received)
            if start is not None:
                await self._pump(upload, chunks, size)
            if size is not None and upload.received < size:
                await _finished(upload.save)  # the answer says that these bytes are safe
        except BaseException as err:
            broken = isinstance(err, OSError) and not isinstance(err, ConnectionError | TimeoutError)
            broken = broken or isinstance(err, TooLarge)
            await _finished(_close_interrupted, upload, keep=keep, broken=broken)
            raise
        if size is not None and upload.received < size:
            await _finished(upload.close)
            return FileView(upload.received, size, upload.expected), False
        return await self._stored(key, upload, remember=keep)

    async def _pump(self, upload: Upload, chunks: Callable[[], Awaitable[bytes]], size: int | None) -> None:
        """Write the bytes as they arrive. After an error, write also the bytes that arrived before it.

        The exception is TooLarge: the bytes that are still in memory are dropped.
        """
        block = bytearray()
        try:
            while data := await chunks():
                block += data
                most = self._limits.max_bytes if size is None else size
                if upload.received + len(block) > most:
                    block.clear()
                    limit = " (gateway.files.max_bytes)" if size is None else ", which were announced"
                    raise TooLarge(f"the file has more than {most} bytes{limit}")
                if len(block) >= _BLOCK_BYTES:
                    content, block = bytes(block), bytearray()
                    await _finished(self._write_block, upload, content)
        finally:
            if block:
                await _finished(self._write_block, upload, bytes(block))

    def _write_block(self, upload: Upload, block: bytes) -> None:
        """Write a block, then check that the reserve is still free. Runs in a thread. Raises NoRoom, OSError."""
        upload.append(block)
        self._expected[upload.key] -= len(block)
        self._check_room(upload.key, 0)

    async def _stored(self, key: str, upload: Upload, *, remember: bool) -> tuple[FileView, bool]:
        done = await _finished(upload.seal)
        async with self._storing:
            new = await _finished(self._store, key, done, remember=remember and not key.startswith(done.sha256))
        return _view(done), new

    def _store(self, key: str, done: Progress, *, remember: bool) -> bool:
        """Give the file of a sealed upload its final name. Return False if it was stored before. Runs in a thread."""
        with self._lock:
            new = self.inputs.size(done.sha256) is None
            self._used[done.sha256] = time.monotonic()
            if new:
                self._naming.add(done.sha256)
        # If the disk refuses, a power cut may take back the name. So it stays in `_naming`, and the client sends the
        # file again.
        self.incoming.store(key, done)
        with self._lock:
            self._naming.discard(done.sha256)
        if remember:
            self.incoming.remember(key, done)
        return new

    # ---- room ----

    def check_room(self, needed: int) -> None:
        """Check that a file of `needed` bytes would be accepted now. Raises NoRoom, StorageError."""
        with disk_errors():
            self._check_room("", needed)

    def _reserve(self, key: str, needed: int) -> None:
        """Reserve `needed` bytes on the disk for the upload with this key. Raises NoRoom, OSError."""
        self._check_room(key, needed)
        self._expected[key] = needed

    def _check_room(self, key: str, needed: int) -> None:
        reserved = sum(size for other, size in list(self._expected.items()) if other != key)
        disk = os.statvfs(self.inputs.root)
        free = disk.f_bavail * disk.f_frsize - reserved - self._limits.spare_bytes
        if needed > free or free < 0:
            raise NoRoom(needed, free, self._limits.spare_bytes)


def _key(name: str, submitter: str) -> str:
    """Return the key of an upload. It holds a hash of the sender, so no client can resume the upload of another one."""
    return f"{name}.{hash_of(submitter.encode()).hexdigest()[:16]}"


def _difference(known: FileView, size: int | None, sha256: str) -> str:
    """Return how `known` differs from a file with this size and hash, or an empty text if it may be the same file."""
    if known.bytes is None and size is not None and known.received > size:
        return f"{known.received} bytes of it have arrived, which is more than {size}"
    if known.bytes is not None and known.bytes != size:
        return f"it was announced with {known.bytes} bytes, not {size}"
    if sha256 and known.sha256 and known.sha256 != sha256:
        return f"it was announced with SHA-256 {known.sha256}, not {sha256}"
    return ""


def _view(progress: Progress) -> FileView:
    return FileView(progress.received, progress.bytes, progress.sha256, progress.stored)


def _close_interrupted(upload: Upload, *, keep: bool, broken: bool = False) -> None:
    """Close an interrupted upload.

    Without `keep` the upload is deleted. With `broken` only the bytes that were synced before are kept, otherwise all
    bytes that arrived.
    """
    if not keep:
        upload.discard()
        return
    try:
        if not broken:
            upload.save()
    except OSError:
        broken = True
    if broken:
        upload.rewind()
    else:
        upload.close()


async def _finished(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run `work` in a thread. Wait for its end even if this task is cancelled, because the next step uses the file."""
    task = asyncio.ensure_future(asyncio.to_thread(work, *args, **kwargs))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        while not task.done():
            await asyncio.wait([task])
        raise
