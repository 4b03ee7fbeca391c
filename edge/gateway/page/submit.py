"""Submits a job by a form that is made from the kind's signature."""

from __future__ import annotations

import asyncio
import re
import secrets
import time
from http import HTTPStatus

import msgspec
from aiohttp import web

from edge.catalog.catalogue import TaskInfo
from edge.core.errors import BadArguments, EdgeError, UnknownInput, UnknownTask, UsageError
from edge.core.text import seconds
from edge.core.values import JsonValue
from edge.gateway.http.problems import BadRequest
from edge.gateway.page import sent_files
from edge.gateway.page.filters import moment
from edge.gateway.page.form import Field, arguments, choice_text, fields_of
from edge.gateway.page.rendering import Rendering, redirect
from edge.gateway.page.visit import Visit
from edge.gateway.service import Appliance
from edge.model import InputFile, Power, Submission

#: A form grows when it is URL-encoded: each byte may become three, so a character of three UTF-8 bytes becomes nine.
_ENCODED = 9
_KEY = re.compile(r"[0-9a-f]{32}")
_LONGEST = 400


class SubmitView:
    """Handles `/submit` and `/submit/KIND`. Runs on the event loop."""

    def __init__(self, appliance: Appliance, rendering: Rendering) -> None:
        self._appliance, self._rendering = appliance, rendering
        self._max_bytes = appliance.config.gateway.max_body_bytes * _ENCODED

    async def choose(self, visit: Visit) -> web.StreamResponse:
        """Return the list of kinds, or a redirect to the form of the kind that the query names."""
        kinds = self._appliance.kinds.current.tasks
        wanted = visit.query().get("kind", "")
        if wanted in kinds:
            return redirect(f"/submit/{wanted}")
        return self._rendering.page(visit, "submit.html", kinds=[kinds[name] for name in sorted(kinds)])

    async def form(self, visit: Visit) -> web.StreamResponse:
        """Return the form of a kind. Raises UnknownTask."""
        kind = self._kind(visit)
        return self._form(visit, kind, fields_of(kind), key=secrets.token_hex(16))

    async def send(self, visit: Visit) -> web.StreamResponse:
        """Submit the job that the form describes, or return the form with the mistake. Raises UnknownTask, EdgeError.

        The same form sent twice makes one job.
        """
        kind = self._kind(visit)
        fields = fields_of(kind)
        sent, files = await sent_files.read(self._appliance, visit, max_bytes=self._max_bytes)
        key = sent.get("key", "")
        try:
            if not _KEY.fullmatch(key):
                raise BadRequest("this form is incomplete: its key is missing; open it again")
            submission = msgspec.structs.replace(_submission(kind, fields, sent), files=files)
            new = await asyncio.to_thread(
                self._appliance.drafts.checked, submission, key=f"page-{key}", caller=visit.caller
            )
        except (BadArguments, BadRequest, UnknownInput, UsageError) as err:
            fresh = key if _KEY.fullmatch(key) else secrets.token_hex(16)
            status = HTTPStatus.UNPROCESSABLE_ENTITY
            return self._form(visit, kind, fields, key=fresh, sent=sent, files=files, why=_sentence(err), status=status)
        (answer,) = await self._appliance.accept([new])
        if isinstance(answer, EdgeError):
            raise answer
        return redirect(f"/jobs/{answer.job.id}")

    def _kind(self, visit: Visit) -> TaskInfo:
        kinds = self._appliance.kinds.current.tasks
        if visit.path not in kinds:
            raise UnknownTask(visit.path[:128], sorted(kinds))
        return kinds[visit.path]

    def _form(
        self,
        visit: Visit,
        kind: TaskInfo,
        fields: tuple[Field, ...],
        *,
        key: str,
        sent: dict[str, str] | None = None,
        files: dict[str, InputFile] | None = None,
        why: str = "",
        status: HTTPStatus = HTTPStatus.OK,
    ) -> web.StreamResponse:
        return self._rendering.page(
            visit,
            "form.html",
            status=status,
            kind=kind,
            fields=[(field, _shown(field, sent)) for field in fields],
            choice_text=choice_text,
            sent=sent or {},
            powers=tuple(Power),
            inputs={} if kind.inputs is None else kind.inputs,
            any_file=kind.inputs is None,
            files=files or {},
            key=key,
            why=why,
        )


def _shown(field: Field, sent: dict[str, str] | None) -> str:
    """Return the content of the field: the text that was sent before, else the default."""
    return field.filled if sent is None else sent.get(field.key, "")


def _sentence(err: EdgeError) -> str:
    return err.args[0] if not isinstance(err, BadArguments) else str(err).partition(": ")[2]


def _instant(text: str) -> str:
    """Return `text`, a time in the board's time zone, in UTC as a submission needs it. Raises BadRequest."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment("not before", text)))


def _submission(kind: TaskInfo, fields: tuple[Field, ...], sent: dict[str, str]) -> Submission:
    """Return the submission that a form describes. Raises BadArguments, BadRequest."""
    raw: dict[str, JsonValue] = {"task": kind.name, "kwargs": arguments(kind, fields, sent)}
    if sent.get("power"):
        raw["power"] = sent["power"]
    if text := sent.get("retries", "").strip():
        raw["retries"] = int(text) if text.isascii() and text.isdigit() and len(text) < 9 else text[:_LONGEST]
    if text := sent.get("not_before", "").strip():
        raw["not_before"] = _instant(text)
    for name in ("time_limit_s", "deadline_s", "delay_s"):
        if text := sent.get(name, "").strip():
            if (found := seconds(text)) is None:
                label = name.removesuffix("_s").replace("_", " ")
                raise BadRequest(f"{label} {text[:40]!r}: expected a duration such as 30s, 20m, 2h or 3d")
            raw[name] = found
    if text := sent.get("max_temp_c", "").strip():
        try:
            raw["max_temp_c"] = float(text)
        except ValueError:
            raise BadRequest(f"not hotter than {text[:40]!r}: expected degrees Celsius, such as 70") from None
    try:
        return msgspec.convert(raw, Submission)
    except msgspec.ValidationError as err:
        what, _, where = str(err).replace("`", "").partition(" - at $.")
        raise BadRequest(f"{where.replace('_', ' ')}: {what[:1].lower()}{what[1:]}" if where else what) from err
