"""Reads a `multipart/form-data` body part by part: fields into memory, files as a stream."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from aiohttp import BadContentDispositionHeader, BadContentDispositionParam, BodyPartReader, web
from aiohttp.http_exceptions import HttpProcessingError

from edge.core.errors import EdgeError
from edge.gateway.http.problems import BadBody, BadRequest, TooLarge, TooSlow
from edge.gateway.http.route import proceed

T = TypeVar("T")

FORM_DATA = "multipart/form-data"
_CHUNK = 1 << 18
_MOST_PARTS = 520
#: If no byte arrives for this time, the connection counts as lost.
IDLE_S = 60.0
#: Encodings that leave the bytes of a part unchanged.
_PLAIN = frozenset({"", "7bit", "8bit", "binary"})

#: What aiohttp raises for a broken form. `BadContentDisposition...` are warnings, raised only if warnings are errors.
_UNREADABLE = (
    *(web.RequestPayloadError, HttpProcessingError, BadContentDispositionHeader, BadContentDispositionParam),
    *(ValueError, LookupError, AssertionError, RuntimeError),
)

#: Returns the next bytes of a file, or empty bytes at its end.
Chunks = Callable[[], Awaitable[bytes]]
#: Receives a file: the name of its field, its file name, its bytes. It must read all bytes, or raise an error.
TakeFile = Callable[[str, str, Chunks], Awaitable[None]]
#: Receives a field: its name and its text.
TakeField = Callable[[str, str], None]


async def read(request: web.Request, *, max_bytes: int, field: TakeField, file: TakeFile) -> None:
    """Read the whole body, and pass each field and file on.

    A part with a file name is a file. A part with an empty file name and no content is skipped: a browser sends it for
    a file field that nobody filled in.

    Args:
        request: the request with the form.
        max_bytes: most bytes of all fields together; files do not count.
        field: receives each field.
        file: receives each file.

    Raises:
        BadRequest: a part has no name, is encoded, or is a field without UTF-8 text.
        BadBody: the body is not a form, or ends too early.
        TooLarge: there are too many parts, or the fields have too many bytes.
        TooSlow: no byte arrived for a minute.
    """
    try:
        await proceed(request)
        reader = await request.multipart()
        left_bytes, parts = max_bytes, 0
        while (part := await _within(reader.next())) is not None:
            parts += 1
            if parts > _MOST_PARTS:
                raise TooLarge(f"the form has more than the {_MOST_PARTS} parts that are taken")
            if not isinstance(part, BodyPartReader) or not part.name:
                raise BadRequest("the form has a part without a name; give each part one, as curl -F NAME=... does")
            _check_plain(part)
            if part.filename is None:
                content = await _whole(part, left_bytes)
                left_bytes -= len(content)
                field(_legible(part.name), _text(part.name, content))
            else:
                await _file(part, file)
    except _UNREADABLE as err:
        if isinstance(err, EdgeError):
            raise
        request.content.feed_eof()
        raise BadBody(f"the form cannot be read: {' '.join(str(err).split())[:200]}") from err


async def _file(part: BodyPartReader, file: TakeFile) -> None:
    first = await _next(part)
    if not part.filename and not first:
        return

    async def chunks() -> bytes:
        nonlocal first
        if first:
            data, first = first, b""
            return data
        return await _next(part)

    await file(_legible(part.name or ""), _legible(part.filename or ""), chunks)


async def _next(part: BodyPartReader) -> bytes:
    """Return the next bytes of a part, or empty bytes at its end."""
    while not part.at_eof():
        if data := await _within(part.read_chunk(_CHUNK)):
            return data
    return b""


async def _whole(part: BodyPartReader, most: int) -> bytes:
    content = b""
    while data := await _next(part):
        content += data
        if len(content) > most:
            raise TooLarge("the fields of the form have more bytes than a job may have (gateway.max_body_bytes)")
    return content


def _check_plain(part: BodyPartReader) -> None:
    for header in ("Content-Encoding", "Content-Transfer-Encoding"):
        given = part.headers.get(header, "").lower()
        if given not in _PLAIN:
            raise BadRequest(
                f"part {(part.name or '')[:80]!r}: {header} {given[:40]!r}: send the part without an encoding"
            )


def _text(name: str, content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as err:
        raise BadRequest(f"part {name[:80]!r}: expected UTF-8 text") from err


def _legible(text: str) -> str:
    """Return `text` with each byte that is not UTF-8 replaced, because an answer could not contain it."""
    return text.encode("utf-8", "replace").decode()


async def _within(work: Awaitable[T]) -> T:
    try:
        async with asyncio.timeout(IDLE_S):
            return await work
    except TimeoutError as err:
        raise TooSlow(f"nothing arrived for {IDLE_S:g} s") from err
