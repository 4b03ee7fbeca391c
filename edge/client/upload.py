"""A file for a job, sent to the board: continued where it broke off, sent only if the board does not have it."""

from __future__ import annotations

import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

import msgspec

from edge.client.transport import Transport, decoded, path_of
from edge.core.backoff import Backoff
from edge.core.errors import GatewayError, Unreachable, UsageError
from edge.model import InputFile
from edge.wire import FileView, ProblemCode

#: Is told the bytes that have been sent, and those of the whole file.
OnBytes = Callable[[int, int], None]

_READ_BYTES = 1 << 20
#: How much longer than usual the board may take: it writes to a card, and hashes again what it had before a restart.
_LONGER_S = 120.0
_RETRY = Backoff(first_s=0.2, most_s=5.0)


def upload(http: Transport, path: Path, *, name: str | None = None, progress: OnBytes | None = None) -> InputFile:
    """Send the file at `path`, and return what a job names it by. On return it is durable on the board.

    Retries as long as each attempt gets further, then for `patience_s` of the settings. Calling it again, also in
    another process, continues the same upload.

    Args:
        http: the gateway.
        path: a regular file; it must not change meanwhile.
        name: what the job is to know it as; None: as it is called here.
        progress: is called now and then, from this thread.

    Raises:
        UsageError: there is no such file, it changed while it was sent, or the board does not take one that large.
        GatewayError: the board has no room for it.
        Unreachable, NotAllowed: as for any request.
    """
    try:
        with path.open("rb") as file:
            size, digest = _hashed(file)
            _send(http, file, size, digest, progress or (lambda _sent, _size: None))
    except OSError as err:
        if err.filename is None:  # not of the file: of the network
            raise
        raise UsageError(f"file {path}: {err.strerror}") from err
    return _record(digest, name or path.name, size)


def _record(digest: str, name: str, size: int) -> InputFile:
    try:
        return msgspec.convert({"sha256": digest, "name": name, "bytes": size}, InputFile)
    except msgspec.ValidationError:  # not allowed for a job's file; the gateway uses the input's name
        return InputFile(digest, None, size)


def _hashed(file: BinaryIO) -> tuple[int, str]:
    digest, size = sha256(), 0
    while block := file.read(_READ_BYTES):
        digest.update(block)
        size += len(block)
    return size, digest.hexdigest()


def _send(http: Transport, file: BinaryIO, size: int, digest: str, progress: OnBytes) -> None:
    """Send what the board does not have."""
    give_up, furthest, pauses = 0.0, -1, _RETRY.pauses()
    while True:
        try:
            # Asks before it sends: where the upload goes on, and whether there is room for it.
            view = _part(http, digest, None, b"", size)
            if view.received > furthest:  # a step further: patience counts from here
                furthest, pauses = view.received, _RETRY.pauses()
                give_up = time.monotonic() + http.settings.patience_s
            progress(view.received, size)
            if view.stored:
                return
            view = _part(http, digest, view.received, _Rest(file, view.received, size, progress), size)
            if view.stored:
                progress(size, size)
                return
        except Unreachable:
            wait = next(pauses)
            # Before the first answer the transport itself has been patient.
            if furthest < 0 or time.monotonic() + wait > give_up:
                raise
            time.sleep(wait)
        except GatewayError as err:
            if err.code == ProblemCode.WRONG_HASH:
                raise UsageError(
                    f"file {file.name}: it changed while it was sent; upload it again when nothing writes to it"
                ) from err
            if err.code != ProblemCode.WRONG_OFFSET:
                raise


def _part(http: Transport, digest: str, first: int | None, body: bytes | _Rest, size: int) -> FileView:
    span = "*" if first is None else f"{first}-{size - 1}"
    headers = {"Content-Range": f"bytes {span}/{size}", "Content-Type": "application/octet-stream"}
    if isinstance(body, _Rest):
        headers["Content-Length"] = str(size - (first or 0))
    patience_s = 0.0 if isinstance(body, _Rest) else None
    path = path_of("files", digest)
    answer = http.send("PUT", path, body=body, headers=headers, longer_s=_LONGER_S, patience_s=patience_s)
    return decoded(answer.data, FileView)


class _Rest:
    """The file from an offset on, as a body that reports what is read. Used once, by http.client, in this thread."""

    def __init__(self, file: BinaryIO, first: int, size: int, progress: OnBytes) -> None:
        file.seek(first)
        self._file, self._sent, self._size, self._progress = file, first, size, progress

    def read(self, size: int, /) -> bytes:
        """Return the next bytes; no more than were announced, should the file have grown."""
        block = self._file.read(min(size, self._size - self._sent))
        self._sent += len(block)
        self._progress(self._sent, self._size)
        return block
