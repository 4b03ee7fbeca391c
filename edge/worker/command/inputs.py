"""The files that a program is given: read-only in its sandbox, a copy of its own without one."""

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
    """Return for each input its path as the program sees it, and its path out here.

    The stored files never change, so a program without a sandbox gets copies, in `base`.

    Raises:
        ProgramFailed: an input is missing.
        OSError: there is no room for a copy.
    """
    placed = dict[str, tuple[PurePath, Path]]()
    for name in files if is_any(command) else command.inputs:
        if name not in files:
            raise ProgramFailed(FailureCode.BAD_ARGUMENTS, f"input {name!r} is missing")
        given = files[name]
        stored = store.path(given.sha256)
        size = store.size(given.sha256)
        if size is None:
            raise ProgramFailed(FailureCode.NO_INPUT, f"input {name!r}: the file {given.sha256} is not on this board")
        if not is_any(command) and size > command.inputs[name].max_bytes:
            most = command.inputs[name].max_bytes
            raise ProgramFailed(FailureCode.BAD_ARGUMENTS, f"input {name!r} has {size} bytes; at most {most} are taken")
        file_name = _file_name(name, given.name)
        if not command.sandbox or os.geteuid() == 0:  # nobody, as whom root's programs run, may not read the stored one
            own = base / "inputs" / name / file_name
            own.parent.mkdir(mode=0o700, parents=True)
            shutil.copyfile(stored, own)
            stored = own
            sandbox.give(own)
        if not command.sandbox:
            placed[name] = stored, stored
        elif is_any(command):
            if any(seen.name == file_name for seen, _ in placed.values()):
                raise ProgramFailed(FailureCode.BAD_ARGUMENTS, f"two of its files are called {file_name!r}")
            placed[name] = WORK / file_name, stored
        else:
            placed[name] = INPUTS / name / file_name, stored
    return placed


def _file_name(name: str, wanted: str | None) -> str:
    """What the file is called for the program: as where it came from, if no program reads more into it than a name."""
    try:
        return check_artifact_name(wanted or name)
    except ValueError:
        ending = PurePath(wanted or "").suffix
        return name + (ending if ending[1:].isascii() and ending[1:].isalnum() else "")
