"""The section `gateway.files` of `edge.yaml`: how large the input files of jobs may be, and how long they stay."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from edge.config.about import about

_Seconds = Annotated[float, Meta(gt=0, le=31_536_000)]


class FilesConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Limits of the files that are uploaded for jobs."""

    max_bytes: Annotated[int, Meta(ge=1), about("Largest file; a larger one is refused (413) before it is sent.")] = (
        4 << 30
    )
    spare_bytes: Annotated[
        int,
        Meta(ge=0),
        about(
            "Free space that uploads leave on the disk for results, the ledger and the broker (which stops at 200 MB):"
            " a file that would use it is refused (507)."
        ),
    ] = 512 << 20
    keep_s: Annotated[
        _Seconds, about("A file that no open job and no schedule uses is removed this long after its upload.")
    ] = 3600.0
    unfinished_s: Annotated[
        _Seconds, about("An interrupted upload can be resumed for this long; then the received part is removed.")
    ] = 86_400.0
