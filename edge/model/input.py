"""The files that a job is given: named by the job, kept by the SHA-256 of their content."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

#: Files of one job at most: each list of jobs carries their records.
MOST_INPUTS = 16
_LONGEST_NAME_BYTES = 255  # what a file system takes

InputName = Annotated[str, Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")]
SHA256_PATTERN = r"^[0-9a-f]{64}$"
Sha256 = Annotated[str, Meta(pattern=SHA256_PATTERN)]
FileName = Annotated[str, Meta(min_length=1, max_length=255, pattern=r"^[^./\x00-\x1f\x7f][^/\x00-\x1f\x7f]*$")]
FileBytes = Annotated[int, Meta(ge=0, le=1 << 53)]


class InputFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A file that a job is given. A submitter may give the hash alone; the gateway fills in the rest."""

    sha256: Sha256
    name: FileName | None = None  # what it is called where it came from; None: as the input is called
    bytes: FileBytes | None = None

    def __post_init__(self) -> None:
        """Raise ValueError on a name that is longer than a file system takes."""
        if self.name is not None and len(self.name.encode()) > _LONGEST_NAME_BYTES:
            raise ValueError(f"a file name has at most {_LONGEST_NAME_BYTES} bytes")


#: The files of a job by the names that its kind knows them by.
InputFiles = Annotated[dict[InputName, InputFile], Meta(max_length=MOST_INPUTS)]
