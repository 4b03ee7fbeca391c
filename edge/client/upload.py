"""Sends an input file to the board if the board does not have it. Resumes at the last saved byte."""

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

#: Called with the number of bytes sent, and the length of the file.
OnBytes = Callable[[int, int], None]

_READ_BYTES = 1 << 20
#: Extra time for the board to answer: it writes to a card, and after a restart it hashes the received bytes again.
_LONGER_S = 120.0
_RETRY = Backoff(first_s=0.2, most_s=5.0)


def upload(http: Transport, path: Path, *, name: str | None = None, progress: OnBytes | None = None) -> InputFile:
    """Send the file at `path`, and return the record with which a job names it. On return it is durable on the board.

    Retries while each try sends more of the file, and otherwise for `patience_s` of the settings. A second call, even
    in another process, continues the same upload.

    Args:
        http: the gateway.
        path: a regular file, which must not change meanwhile.
        name: the name of the file for the job; None means the name in `path`.
        progress: called from time to time, in the thread of the caller.

    Raises:
        UsageError: the file does not exist, changed while it was sent, or is too large for the board.
        GatewayError: the board has no room for it.
        Unreachable: the gateway does not answer.
        NotAllowed: the token does not allow it.
    """
    try:
        with path.open("rb") as file:
            size, digest = _hashed(file)
            _send(http, file, size, digest, progress or (lambda _sent, _size: None))
    except OSError as err:
        if err.filename is None:  # an error of the network, not of the file
            raise
        raise UsageError(f"file {path}: {err.strerror}") from err
    return _record(digest, name or path.name, size)


def _record(digest: str, name: str, size: int) -> InputFile:
    try:
        return msgspec.convert({"sha256": digest, "name": name, "bytes": size}, InputFile)
    except msgspec.ValidationError:  # the name is not allowed; without one the gateway uses the name of the input
        return InputFile(digest, None, size)


def _hashed(file: BinaryIO) -> tuple[int, str]:
    digest, size = sha256(), 0
    while block := file.read(_READ_BYTES):
        digest.update(block)
        size += len(block)
    return size, digest.hexdigest()


def _send(http: Transport, file: BinaryIO, size: int, digest: str, progress: OnBytes) -> None:
    """Send the part of the file that the board does not have."""
    give_up, furthest, pauses = 0.0, -1, _RETRY.pauses()
    while True:
        try:
            # This request sends no content. It asks at which byte the upload continues, and if there is room for it.
            view = _part(http, digest, None, b"", size)
            if view.received > furthest:  # the last try sent more, so patience starts again
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
            # Before the first answer, the transport itself has repeated the request for `patience_s`.
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
    """The rest of the file from an offset on, as the body of one request. Calls `progress` when it is read."""

    def __init__(self, file: BinaryIO, first: int, size: int, progress: OnBytes) -> None:
        file.seek(first)
        self._file, self._sent, self._size, self._progress = file, first, size, progress

    def read(self, size: int, /) -> bytes:
        """Return the next bytes, but no more than announced, even if the file has grown meanwhile."""
        block = self._file.read(min(size, self._size - self._sent))
        self._sent += len(block)
        self._progress(self._sent, self._size)
        return block
