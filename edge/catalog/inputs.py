"""Checks the input files of a job against those that its kind takes."""

from __future__ import annotations

from collections.abc import Mapping

from edge.core.errors import BadArguments
from edge.model import InputFile


def check_files(
    kind: str, files: Mapping[str, InputFile], *, inputs: Mapping[str, int] | None, one_folder: bool
) -> None:
    """Check that a job may have these files. Raises BadArguments if it may not.

    Args:
        kind: the name of the kind.
        files: the files of the job, by the names of its inputs.
        inputs: largest size in bytes of each file that a job needs; None if any files fit.
        one_folder: True if the files are placed in one folder by their own names, which must differ.
    """
    if one_folder:
        names = [file.name or name for name, file in files.items()]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise BadArguments(kind, f"two inputs have the file name {twice!r}: give them different names")
    if inputs is None:
        return
    known = ", ".join(inputs) or "none"
    for name, most in inputs.items():
        if name not in files:
            raise BadArguments(kind, f"input {name!r} is missing; the files it takes: {known}")
        size = files[name].bytes
        if size is not None and size > most:
            raise BadArguments(kind, f"input {name!r} has {size} bytes; at most {most} are taken")
    for name in files:
        if name not in inputs:
            raise BadArguments(kind, f"unknown input {name!r}; the files it takes: {known}")
