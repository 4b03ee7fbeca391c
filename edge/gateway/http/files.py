"""Sends a file of a job, whole or one range. The bytes never change, so their SHA-256 is the ETag."""

from __future__ import annotations

import asyncio
import mimetypes
import re
from http import HTTPStatus
from pathlib import Path
from typing import BinaryIO

from aiohttp import ETag, hdrs, web

from edge.gateway.http import problems
from edge.model import Artifact
from edge.wire import ProblemCode

_RANGE = re.compile(r"bytes=(?:([0-9]{1,18})-([0-9]{1,18})?|-([0-9]{1,18}))", re.IGNORECASE)


async def send(request: web.Request, path: Path, artifact: Artifact) -> web.StreamResponse:
    """Answer `request` with the file at `path`: 200, 206, 304, 412 or 416. Raises FileNotFoundError."""
    etag = ETag(artifact.sha256)
    if request.if_match and not _among(etag, request.if_match):
        detail = f"If-Match: the file's ETag is {artifact.sha256}"
        return problems.response(problems.make(HTTPStatus.PRECONDITION_FAILED, ProblemCode.BAD_REQUEST, detail))
    if request.if_none_match and _among(etag, request.if_none_match):
        return web.Response(status=304, headers={hdrs.ETAG: f'"{artifact.sha256}"'})
    start, end, partial = _span(request, artifact)
    if start >= end and partial:
        detail = f"Range {request.headers[hdrs.RANGE][:80]!r}: the file has {artifact.size_bytes} bytes"
        refusal = problems.response(
            problems.make(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, ProblemCode.BAD_REQUEST, detail)
        )
        refusal.headers[hdrs.CONTENT_RANGE] = f"bytes */{artifact.size_bytes}"
        return refusal
    with await asyncio.to_thread(path.open, "rb") as file:
        response = _response(artifact)
        response.content_length = end - start
        if partial:
            response.set_status(HTTPStatus.PARTIAL_CONTENT)
            response.headers[hdrs.CONTENT_RANGE] = f"bytes {start}-{end - 1}/{artifact.size_bytes}"
        await response.prepare(request)
        if request.method == hdrs.METH_GET and end > start:
            await _copy(request, file, start, end - start)
            await response.write_eof()
    return response


async def _copy(request: web.Request, file: BinaryIO, offset: int, count: int) -> None:
    """Let the kernel send the bytes (`sendfile`). They do not pass through this process."""
    if request.transport is None:
        raise ConnectionResetError("the client went away")
    await asyncio.get_running_loop().sendfile(request.transport, file, offset, count)


def _response(artifact: Artifact) -> web.StreamResponse:
    """Return an answer with headers that keep a browser from running the file as a page of this site.

    A job may write anything into its files.
    """
    response = web.StreamResponse()
    response.content_type = mimetypes.guess_type(artifact.name)[0] or "application/octet-stream"
    response.etag = artifact.sha256
    response.headers[hdrs.ACCEPT_RANGES] = "bytes"
    response.headers[hdrs.CONTENT_DISPOSITION] = f'attachment; filename="{artifact.name}"'
    response.headers["Content-Security-Policy"] = "sandbox"
    response.headers[hdrs.CACHE_CONTROL] = "private, no-cache"
    return response


def _span(request: web.Request, artifact: Artifact) -> tuple[int, int, bool]:
    """Return the first byte, the byte after the last, and whether a Range header asks for this part.

    A Range header that is not a single range of bytes is ignored, as RFC 9110 says.
    """
    size = artifact.size_bytes
    match = _RANGE.fullmatch(request.headers.get(hdrs.RANGE, "").strip())
    condition = request.headers.get(hdrs.IF_RANGE, "").strip()
    if match is None or request.method != hdrs.METH_GET or condition not in {"", f'"{artifact.sha256}"'}:
        return 0, size, False
    first, last, suffix = match.groups()
    if suffix is not None:
        return max(0, size - int(suffix)), size if int(suffix) else 0, True
    if last is not None and int(last) < int(first):
        return 0, size, False  # not a valid range
    return int(first), min(size, int(last) + 1) if last is not None else size, True


def _among(etag: ETag, given: tuple[ETag, ...]) -> bool:
    return any(other.value in {"*", etag.value} for other in given)
