"""Reads a job and its files from one request: `curl -F task=NAME -F clip=@clip.mov BOARD/v1/jobs`."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from enum import StrEnum

import msgspec
from aiohttp import web

from edge.gateway.http import bodies, multipart
from edge.gateway.http.auth import Caller
from edge.gateway.http.multipart import Chunks
from edge.gateway.http.problems import BadRequest, TooLarge, WrongType
from edge.gateway.service import Appliance
from edge.model import MOST_INPUTS, AfterFailure, InputFile, Power, Submission

#: Browsers send these headers. A page of another site can send a form without a preflight request, so this route
#: refuses forms from browsers. The board's own page has its own form.
_BROWSER_HEADERS = ("Origin", "Sec-Fetch-Site")
_INPUT = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
#: Members of a submission that a form has as plain text; all others are JSON.
_TEXTS = frozenset({"task", "power", "not_before", "unique_key", "after_failure"})
_CHOICES: Mapping[str, type[StrEnum]] = {"power": Power, "after_failure": AfterFailure}
_JOB = "job"


def is_form(request: web.Request) -> bool:
    """Return True if the body is a form with files. Raises WrongType if a browser sent it."""
    if request.content_type != multipart.FORM_DATA:
        return False
    if any(name in request.headers for name in _BROWSER_HEADERS):
        raise WrongType(
            f"{multipart.FORM_DATA} with the header {' or '.join(_BROWSER_HEADERS)} is refused, because a browser sends"
            " it; use the form on the board's page"
        )
    return True


class FormFiles:
    """Stores the files of one form as they arrive. Make one for each request, on the event loop."""

    def __init__(self, appliance: Appliance, caller: Caller, request: web.Request) -> None:
        """Prepare to receive the files of `request`.

        Raises NoRoom if the disk has no room for a body of this length. A body that is small enough to hold only
        fields is not checked.
        """
        self._appliance, self._caller = appliance, caller
        self.files: dict[str, InputFile] = {}
        self.expected: Mapping[str, InputFile] = {}
        length = request.content_length or 0
        if length > appliance.config.gateway.max_body_bytes:
            appliance.files.check_room(length)

    async def take(self, name: str, filename: str, chunks: Chunks) -> None:
        """Store one file. Raises BadRequest, TooLarge, and the errors of `Files.receive`."""
        if not _INPUT.fullmatch(name):
            raise BadRequest(f"file {name[:80]!r}: expected 1 to 64 of A-Z a-z 0-9 _, starting with a letter or _")
        if name in self.files:
            raise BadRequest(f"file {name!r} is given twice")
        if len(self.files) >= MOST_INPUTS:
            raise TooLarge(f"file {name!r}: a job takes at most {MOST_INPUTS} files")
        announced = self.expected.get(name)
        sha256 = announced.sha256 if announced is not None else ""
        self._appliance.old_files.uploaded()
        view, _ = await self._appliance.files.receive(
            *(secrets.token_hex(16), self._caller.name, chunks), start=0, size=None, sha256=sha256, keep=False
        )
        while await chunks():  # the file was stored before: read the bytes that the client sends nevertheless
            pass
        file_name = (
            announced.name if announced is not None and announced.name is not None else plain_name(filename, name)
        )
        self.files[name] = InputFile(view.sha256, file_name, view.received)


async def submission_of(appliance: Appliance, caller: Caller, request: web.Request, *, max_bytes: int) -> Submission:
    """Return the submission in a form, after its files have been stored.

    The fields that come before the first file are checked before the files are received.

    Raises BadRequest, TooLarge, WrongHash, NoRoom, and the errors of `Drafts.kind_of`.
    """
    fields: dict[str, str] = {}
    intake = FormFiles(appliance, caller, request)

    def field(name: str, text: str) -> None:
        if name in fields:
            raise BadRequest(f"field {name[:80]!r} is given twice")
        fields[name] = text

    async def file(name: str, filename: str, chunks: Chunks) -> None:
        if not intake.files and fields:
            asked = _submission(fields)
            intake.expected = asked.files
            appliance.drafts.kind_of(asked, caller, open_values=True)
        await intake.take(name, filename, chunks)

    await multipart.read(request, max_bytes=max_bytes, field=field, file=file)
    asked = _submission(fields)
    for name, given in asked.files.items():
        if name in intake.files and intake.files[name].sha256 != given.sha256:
            raise BadRequest(f"files.{name}: its SHA-256 is {intake.files[name].sha256}, not {given.sha256}")
    return msgspec.structs.replace(asked, files={**asked.files, **intake.files})


def _submission(fields: Mapping[str, str]) -> Submission:
    """Return the submission that the fields of a form describe. Raises BadRequest."""
    if _JOB in fields:
        if len(fields) > 1:
            other = next(name for name in fields if name != _JOB)
            raise BadRequest(f"field {other[:80]!r}: the field {_JOB!r} holds the whole job, as JSON")
        return bodies.decode(fields[_JOB].encode(), Submission)
    if "task" not in fields:
        raise BadRequest("the form names no job: give `task`, or `job` with all of it as JSON")
    members = []
    for name, text in fields.items():
        if name not in Submission.__struct_fields__:
            allowed = ", ".join(Submission.__struct_fields__)
            raise BadRequest(
                f"field {name[:80]!r} is unknown; allowed are {_JOB}, or {allowed}; send a file with -F NAME=@PATH"
            )
        value = msgspec.json.encode(text) if name in _TEXTS else text.encode()
        if name not in _TEXTS:
            try:
                msgspec.json.decode(value)
            except (msgspec.DecodeError, RecursionError) as err:
                raise BadRequest(f'field {name} = {text[:80]!r}: expected JSON, such as [1, "text"]') from err
        choices = _CHOICES.get(name)
        if choices is not None and text not in set(choices):
            raise BadRequest(f"field {name} = {text[:80]!r}: expected one of {', '.join(choices)}")
        members.append(msgspec.json.encode(name) + b":" + value)
    return bodies.decode(b"{" + b",".join(members) + b"}", Submission)


def plain_name(filename: str, otherwise: str) -> str:
    """Return the last part of a file name that a browser or curl sends, or `otherwise` if it cannot be used."""
    name = re.split(r"[/\\]", filename)[-1].lstrip(".")
    name = "".join(character for character in name if character.isprintable())
    try:
        return msgspec.convert({"sha256": "0" * 64, "name": name}, InputFile).name or otherwise
    except msgspec.ValidationError:
        return otherwise
