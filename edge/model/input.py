"""The input files of a job. The job names them, and the board stores them by the SHA-256 of their content."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

#: Largest number of input files of one job. The number is small because every list of jobs contains their records.
MOST_INPUTS = 16
_LONGEST_NAME_BYTES = 255  # the limit of Linux file systems

InputName = Annotated[str, Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")]
SHA256_PATTERN = r"^[0-9a-f]{64}$"
Sha256 = Annotated[str, Meta(pattern=SHA256_PATTERN)]
FileName = Annotated[str, Meta(min_length=1, max_length=255, pattern=r"^[^./\x00-\x1f\x7f][^/\x00-\x1f\x7f]*$")]
FileBytes = Annotated[int, Meta(ge=0, le=1 << 53)]


class InputFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """An input file of a job. A submitter may send only the hash; the gateway adds the other fields."""

    sha256: Sha256
    name: FileName | None = None  # original name of the file; if None, the name of the input
    bytes: FileBytes | None = None

    def __post_init__(self) -> None:
        """Raise ValueError if the name is longer than a file system allows."""
        if self.name is not None and len(self.name.encode()) > _LONGEST_NAME_BYTES:
            raise ValueError(f"a file name has at most {_LONGEST_NAME_BYTES} bytes")


#: The input files of a job by the names of its inputs.
InputFiles = Annotated[dict[InputName, InputFile], Meta(max_length=MOST_INPUTS)]
