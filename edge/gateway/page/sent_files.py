"""Files in a form of the page: stored as they come, and kept when the form comes back with a mistake."""

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

#: A field for the file of each input, one for a file whose input is named by hand, and what is there already.
_FILE, _ANY, _ANY_NAME, _KEPT = "file.", "file", "file_name", "kept."


async def read(appliance: Appliance, visit: Visit, *, max_bytes: int) -> tuple[dict[str, str], dict[str, InputFile]]:
    """Return the fields of a form and its files, which are stored. Raises BadRequest, and as `FormFiles`."""
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
            raise BadRequest("a file needs the name that the kind knows it by")
        await intake.take(named, filename, chunks)

    await multipart.read(visit.request, max_bytes=max_bytes, field=field, file=file)
    return fields, {**_kept(fields), **intake.files}


def _kept(fields: Mapping[str, str]) -> dict[str, InputFile]:
    """The files that came with the form before."""
    found: dict[str, InputFile] = {}
    for name, text in fields.items():
        if name.startswith(_KEPT) and text:
            sha256, _, called = text.partition(" ")
            try:
                found[name.removeprefix(_KEPT)] = msgspec.convert({"sha256": sha256, "name": called}, InputFile)
            except msgspec.ValidationError as err:
                raise BadRequest("this form is damaged; open it anew") from err
    return found
