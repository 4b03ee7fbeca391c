"""How much room the input files of jobs may take, as `gateway.files` in `edge.yaml` says."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from edge.config.about import about

_Seconds = Annotated[float, Meta(gt=0, le=31_536_000)]


class FilesConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Files that are uploaded for jobs."""

    max_bytes: Annotated[int, Meta(ge=1), about("Largest file; a larger one is refused (413) before it is sent.")] = (
        4 << 30
    )
    spare_bytes: Annotated[
        int,
        Meta(ge=0),
        about(
            "Room that uploads leave on the disk for results, the ledger and the broker (which stops at 200 MB): a file"
            " that does not fit beside it is refused (507)."
        ),
    ] = 512 << 20
    keep_s: Annotated[
        _Seconds, about("A file that no open job and no schedule wants goes this long after its upload.")
    ] = 3600.0
    unfinished_s: Annotated[
        _Seconds, about("An upload that was broken off can be resumed for so long; then what arrived goes.")
    ] = 86_400.0
