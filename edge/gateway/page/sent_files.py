"""Stores the files that come with a form of the page. If the form has a mistake, its files need not be sent again."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from edge.gateway.api.form import FormFiles
from edge.gateway.http import multipart
from edge.gateway.http.multipart import Chunks
from edge.gateway.http.problems import BadRequest
from edge.gateway.page.visit import Visit
from edge.gateway.service import Appliance
from edge.model import InputFile

#: Names of fields: the file of an input (`file.NAME`), a file whose input name the person types (`file` and
#: `file_name`), and a file that came with the form before (`kept.NAME`).
_FILE, _ANY, _ANY_NAME, _KEPT = "file.", "file", "file_name", "kept."


async def read(appliance: Appliance, visit: Visit, *, max_bytes: int) -> tuple[dict[str, str], dict[str, InputFile]]:
    """Store the files of a form. Return its fields, and its files by the names of the inputs.

    Raises BadRequest, and the errors of `FormFiles`.
    """
    if visit.request.content_type != multipart.FORM_DATA:
        return await visit.form(max_bytes=max_bytes), {}
    intake = FormFiles(appliance, visit.caller, visit.request)
    fields: dict[str, str] = {}

    def field(name: str, text: str) -> None:
        if name in fields:
            raise BadRequest(f"field {name[:80]!r} is given twice")
        fields[name] = text.replace("\r\n", "\n")

    async def file(name: str, filename: str, chunks: Chunks) -> None:
        named = fields.get(_ANY_NAME, "").strip() if name == _ANY else name.removeprefix(_FILE)
        if not named:
            raise BadRequest("a file is sent without its name in the job")
        await intake.take(named, filename, chunks)

    await multipart.read(visit.request, max_bytes=max_bytes, field=field, file=file)
    return fields, {**_kept(fields), **intake.files}


def _kept(fields: Mapping[str, str]) -> dict[str, InputFile]:
    """Return the files that came with the form when it was sent before. Raises BadRequest."""
    found: dict[str, InputFile] = {}
    for name, text in fields.items():
        if name.startswith(_KEPT) and text:
            sha256, _, filename = text.partition(" ")
            try:
                found[name.removeprefix(_KEPT)] = msgspec.convert({"sha256": sha256, "name": filename}, InputFile)
            except msgspec.ValidationError as err:
                raise BadRequest("this form is damaged; open it again") from err
    return found
