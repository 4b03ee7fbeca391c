"""Places the input files of a program.

In a sandbox the program sees the stored file, read-only. Without a sandbox, or if root starts the program, it gets a
copy.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path, PurePath

from edge.catalog.commands import is_any
from edge.config import CommandConfig
from edge.model import FailureCode, InputFile
from edge.results.inputs import Inputs
from edge.results.staging import check_artifact_name
from edge.worker.command import sandbox
from edge.worker.command.failure import ProgramFailed
from edge.worker.command.sandbox import INPUTS, WORK


def place_inputs(
    command: CommandConfig, files: Mapping[str, InputFile], store: Inputs, base: Path
) -> dict[str, tuple[PurePath, Path]]:
    """Return for each input its path as the program sees it, and its path outside of the sandbox.

    Copies are made in `base`. The stored files never change.

    Raises:
        ProgramFailed: an input is missing, too large or not on this board, or two have one file name.
        OSError: there is no room for a copy.
    """
    placed = dict[str, tuple[PurePath, Path]]()
    for name in files if is_any(command) else command.inputs:
        if name not in files:
            raise ProgramFailed(FailureCode.BAD_ARGUMENTS, f"input {name!r} is missing")
        file = files[name]
        stored = store.path(file.sha256)
        size = store.size(file.sha256)
        if size is None:
            raise ProgramFailed(FailureCode.NO_INPUT, f"input {name!r}: the file {file.sha256} is not on this board")
        if not is_any(command) and size > command.inputs[name].max_bytes:
            most = command.inputs[name].max_bytes
            raise ProgramFailed(FailureCode.BAD_ARGUMENTS, f"input {name!r} has {size} bytes; at most {most} are taken")
        file_name = _file_name(name, file.name)
        # A program that root starts runs as `nobody`, who cannot read the stored file.
        if not command.sandbox or os.geteuid() == 0:
            copy = base / "inputs" / name / file_name
            copy.parent.mkdir(mode=0o700, parents=True)
            shutil.copyfile(stored, copy)
            stored = copy
            sandbox.give(copy)
        if not command.sandbox:
            placed[name] = stored, stored
        elif is_any(command):
            if any(seen.name == file_name for seen, _ in placed.values()):
                raise ProgramFailed(FailureCode.BAD_ARGUMENTS, f"two inputs have the file name {file_name!r}")
            placed[name] = WORK / file_name, stored
        else:
            placed[name] = INPUTS / name / file_name, stored
    return placed


def _file_name(name: str, wanted: str | None) -> str:
    """Return the name of the submitted file if it is safe for a program, else the input's name with its ending."""
    try:
        return check_artifact_name(wanted or name)
    except ValueError:
        ending = PurePath(wanted or "").suffix
        return name + (ending if ending[1:].isascii() and ending[1:].isalnum() else "")
