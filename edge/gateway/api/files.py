"""Receives input files for jobs (`/v1/files`), in one request or in parts, and resumes after a lost connection."""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Annotated

import msgspec
from aiohttp import web
from msgspec import UNSET, Meta, UnsetType

from edge.core.errors import UnknownFile
from edge.gateway.files import WrongOffset
from edge.gateway.http import files, problems
from edge.gateway.http.problems import BadBody, BadRequest, TooSlow, WrongType
from edge.gateway.http.route import JSON, NODES, OCTETS, READERS, SUBMITTERS, Answer, Body, Call, Route, proceed
from edge.gateway.service import Appliance
from edge.model import Artifact, Sha256
from edge.results.inputs import is_sha256
from edge.wire import FileView, ProblemCode

#: If no byte arrives for this time, the connection counts as lost.
IDLE_S = 60.0
OFFSET = "Upload-Offset"
NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"
_RANGE = re.compile(r"bytes (?:([0-9]{1,18})-([0-9]{1,18})|\*)/([0-9]{1,18})")
_NAME = re.compile(NAME_PATTERN)

_encode = msgspec.json.Encoder().encode


class FileQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The query of an upload: the expected hash."""

    sha256: (
        Annotated[Sha256, Meta(description="SHA-256 of the whole file; any other content is refused")] | UnsetType
    ) = UNSET


class FileRoutes:
    """Handles the requests about input files. Runs on the event loop; files are written in threads."""

    def __init__(self, appliance: Appliance) -> None:
        self._appliance, self._files = appliance, appliance.files

    def table(self) -> list[Route]:
        """Return the routes, in the order in which the documents list them."""
        offset = {OFFSET: "bytes that are safe"}
        refused = (HTTPStatus.CONFLICT, HTTPStatus.INSUFFICIENT_STORAGE)
        stored = (
            Answer(HTTPStatus.CREATED, "Stored: a job may name its hash", FileView, headers=offset),
            Answer(HTTPStatus.OK, "It was there already", FileView, headers=offset),
        )
        return [
            Route(
                *("PUT", "/v1/files", "Send a file for a job, in one request", self.put, SUBMITTERS),
                query=FileQuery,
                body=Body(bytes, (OCTETS,), "The content; any Content-Type is taken."),
                answers=stored,
                problems=refused,
                waits=True,
            ),
            Route(
                *("PUT", "/v1/files/{upload}", "Send a file for a job, or the next part of it", self.put_part),
                SUBMITTERS,
                query=FileQuery,
                body=Body(
                    bytes,
                    (OCTETS,),
                    "The content, or with `Content-Range: bytes FIRST-LAST/TOTAL` a part of it, which begins at"
                    " `Upload-Offset`. With an empty body, `Content-Range: bytes */TOTAL` asks for that offset, and"
                    " whether a file of this size will be taken. The sender chooses the name of the upload. If it is"
                    " the SHA-256 of the file, in lower case, a file that is stored already is not sent again, and"
                    " another content is refused. With any other name, bytes from 0 on are a new file.",
                ),
                answers=(*stored, Answer(HTTPStatus.ACCEPTED, "Some of it is missing", FileView, headers=offset)),
                problems=refused,
                waits=True,
            ),
            Route(
                *("GET", "/v1/files/{upload}", "How much of a file has arrived", self.show, READERS),
                answers=(
                    Answer(HTTPStatus.OK, "The upload, or the stored file of this hash", FileView, headers=offset),
                ),
                problems=(HTTPStatus.NOT_FOUND, HTTPStatus.INSUFFICIENT_STORAGE),
            ),
            Route(
                *("GET", "/v1/files/{sha256}/content", "Fetch an input file of a job", self.content, NODES),
                answers=(
                    Answer(HTTPStatus.OK, "The file", media="*/*", headers={"ETag": "SHA-256 of the file"}),
                    Answer(HTTPStatus.PARTIAL_CONTENT, "The range asked for", media="*/*"),
                    Answer(HTTPStatus.NOT_MODIFIED, "You have this version (If-None-Match)"),
                ),
                problems=(
                    HTTPStatus.NOT_FOUND,
                    HTTPStatus.PRECONDITION_FAILED,
                    HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
                ),
            ),
        ]

    async def put(self, call: Call) -> web.StreamResponse:
        """Receive a whole file. The upload has no name, so it cannot be resumed.

        Raises BadRequest, WrongType, and the errors of `Files.receive`.
        """
        if "Content-Range" in call.request.headers:
            raise BadRequest("Content-Range: a file in parts needs a name: PUT /v1/files/UPLOAD")
        return await self._put(call, secrets.token_hex(16), keep=False)

    async def put_part(self, call: Call) -> web.StreamResponse:
        """Receive a file or its next part. Answer 201 or 200 if the file is stored, 202 if a part is missing.

        Raises the same errors as `put`.
        """
        return await self._put(call, _named(call), keep=True)

    async def _put(self, call: Call, name: str, *, keep: bool) -> web.StreamResponse:
        request = call.request
        encoding = request.headers.get("Content-Encoding", "identity")
        if encoding != "identity":
            raise WrongType(f"Content-Encoding {encoding[:80]!r}: only identity is allowed; send the file unencoded")
        wanted = call.query.sha256 or ""
        if is_sha256(name) and wanted not in ("", name):
            raise BadRequest(f"query sha256 = {wanted!r}: expected the name of the upload, {name!r}, or nothing")
        start, size = _range(request)
        self._appliance.old_files.uploaded()
        try:
            view, new = await self._files.receive(
                name, call.caller.name, reader(request, kept=keep), start=start, size=size, sha256=wanted, keep=keep
            )
        except WrongOffset as err:
            refusal = problems.response(problems.make(HTTPStatus.CONFLICT, ProblemCode.WRONG_OFFSET, str(err)))
            refusal.headers[OFFSET] = str(err.received)
            return refusal
        finally:
            self._appliance.old_files.uploaded()
        status = HTTPStatus.ACCEPTED
        if view.stored:
            status = HTTPStatus.CREATED if new else HTTPStatus.OK
        return _shown(view, status)

    async def show(self, call: Call) -> web.StreamResponse:
        """Answer with the state of an upload or a stored file. Raises BadRequest, UnknownFile, StorageError."""
        name = _named(call)
        view = await asyncio.to_thread(self._files.look, name, call.caller.name)
        if view is None:
            raise UnknownFile.reported(f"no upload {name!r}, and no file with this SHA-256", job_id="", name=name)
        return _shown(view, HTTPStatus.OK)

    async def content(self, call: Call) -> web.StreamResponse:
        """Send the content of a stored file to a node. Raises BadRequest, UnknownFile."""
        sha256 = call.request.match_info["sha256"]
        _check_case("SHA-256", sha256)
        size = await asyncio.to_thread(self._files.inputs.size, sha256) if is_sha256(sha256) else None
        if size is None:
            raise UnknownFile.reported(f"no file with SHA-256 {sha256[:80]!r}", job_id="", name=sha256)
        try:
            return await files.send(call.request, self._files.inputs.path(sha256), Artifact(sha256, size, sha256))
        except FileNotFoundError as err:
            raise UnknownFile.reported(f"no file with SHA-256 {sha256!r}", job_id="", name=sha256) from err


def reader(request: web.Request, *, kept: bool) -> Callable[[], Awaitable[bytes]]:
    """Return a function that reads the next bytes of the body. It raises TooSlow, BadBody.

    Its first call sends `100 Continue` if the client waits for that. `kept` says in the error text that the upload can
    be resumed.
    """
    begun = False

    async def read() -> bytes:
        nonlocal begun
        if not begun:
            begun = True
            await proceed(request)
        try:
            async with asyncio.timeout(IDLE_S):
                return await request.content.readany()
        except TimeoutError as err:
            rest = "the upload can be resumed" if kept else "send the file again"
            raise TooSlow(f"nothing arrived for {IDLE_S:g} s; {rest}") from err
        except web.RequestPayloadError as err:
            request.content.feed_eof()
            raise BadBody(f"the body broke off: {err}") from err

    return read


def _named(call: Call) -> str:
    name = call.request.match_info["upload"]
    if not _NAME.fullmatch(name):
        raise BadRequest(f"upload {name[:80]!r}: 1 to 128 of A-Z a-z 0-9 . _ - starting with a letter or digit")
    _check_case("upload", name)
    return name


def _check_case(what: str, text: str) -> None:
    """Raise BadRequest if `text` is a SHA-256 with capital letters: it would pass for a name, and not be checked."""
    if not is_sha256(text) and is_sha256(text.lower()):
        raise BadRequest(f"{what} {text!r}: write the hash in lower case")


def _range(request: web.Request) -> tuple[int | None, int | None]:
    """Return the offset of the body in the file, and the size of the whole file. Raises BadRequest.

    The offset is None if the body is empty and the client asks where the upload continues. The size is None if the
    client does not state it.
    """
    text, length = request.headers.get("Content-Range"), request.content_length
    if text is None:
        return 0, length
    found = _RANGE.fullmatch(text)
    if found is None:
        raise BadRequest(f"Content-Range {text[:80]!r}: expected `bytes FIRST-LAST/TOTAL`, or `bytes */TOTAL` to ask")
    total = int(found[3])
    if found[1] is None:
        if request.can_read_body and length != 0:
            raise BadRequest("Content-Range: `bytes */TOTAL` asks where the upload continues; the body must be empty")
        return None, total
    first, last = int(found[1]), int(found[2])
    if not first <= last < total:
        raise BadRequest(f"Content-Range {text[:80]!r}: expected FIRST <= LAST < TOTAL")
    if length is None:
        raise BadRequest(f"Content-Range {text[:80]!r}: give Content-Length, too; the length of a part must be known")
    if length != last - first + 1:
        raise BadRequest(f"Content-Range {text[:80]!r}: the body has {length} bytes, not {last - first + 1}")
    return first, total


def _shown(view: FileView, status: HTTPStatus) -> web.Response:
    headers = {OFFSET: str(view.received)}
    if view.stored:
        headers["Location"] = f"/v1/files/{view.sha256}"
    return web.Response(status=status, body=_encode(view), content_type=JSON, headers=headers)
