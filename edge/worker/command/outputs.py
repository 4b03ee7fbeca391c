"""Moves the output files of a program into the result: all files that match the patterns, or none."""

from __future__ import annotations

import fnmatch
import os
import stat
from collections.abc import Callable, Collection
from pathlib import Path

from edge.model import FailureCode
from edge.results.staging import check_artifact_name
from edge.worker.command.failure import ProgramFailed

_MOST_FILES = 10_000
_SHOWN = 5


def take(folder: Path, patterns: Collection[str], file: Callable[[str], Path], *, without: Collection[str] = ()) -> int:
    """Move the files that match into the result, by renaming them. Return their number.

    Args:
        folder: the working folder of the program. All its processes have ended.
        patterns: patterns of file names. Each must match at least one file.
        file: returns the path for a file of the result, by its name.
        without: names to leave out, because they are inputs in the same folder.

    Raises:
        ProgramFailed: a pattern matches nothing, a match cannot be a file of the result, or there are too many.
        OSError: the disk refuses.
    """
    names = sorted(path.name for path in folder.iterdir() if path.name not in without)
    chosen = dict[str, Path]()
    for pattern in patterns:
        matching = fnmatch.filter(names, pattern) if pattern != "*" else _plain(folder, names)
        if not matching:
            there = ", ".join(repr(name[:60]) for name in names[:_SHOWN]) or "nothing"
            more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
            raise ProgramFailed(
                FailureCode.NO_OUTPUT, f"no file matches the output {pattern!r}; the program left {there}{more}"
            )
        for name in matching:
            chosen[name] = _checked(folder, name)
    if len(chosen) > _MOST_FILES:
        raise ProgramFailed(
            FailureCode.TOO_LARGE, f"the program left {len(chosen)} output files; at most {_MOST_FILES} are kept"
        )
    for name, path in chosen.items():
        if os.geteuid() == 0:  # the file belongs to the user of the program, see `sandbox.give`
            os.chown(path, 0, 0, follow_symlinks=False)
        path.replace(file(name))
    return len(chosen)


def take_all(folder: Path, file: Callable[[str], Path], *, without: Collection[str] = ()) -> int:
    """Move all plain files into the result, and return their number. Raises ProgramFailed and OSError as `take`."""
    names = [path.name for path in folder.iterdir() if path.name not in without]
    return take(folder, ["*"], file, without=without) if _plain(folder, names) else 0


def _plain(folder: Path, names: Collection[str]) -> list[str]:
    """Return the names that are plain files. The pattern `*` leaves folders and links in the working folder."""
    return [name for name in names if stat.S_ISREG((folder / name).lstat().st_mode)]


def _checked(folder: Path, name: str) -> Path:
    path = folder / name
    found = path.lstat()
    if not stat.S_ISREG(found.st_mode):
        kind = (
            "a link" if stat.S_ISLNK(found.st_mode) else "a folder" if stat.S_ISDIR(found.st_mode) else "a special file"
        )
        raise ProgramFailed(FailureCode.NO_OUTPUT, f"the output {name[:80]!r} is {kind}, not a plain file")
    try:
        check_artifact_name(name)  # it allows only ASCII letters
    except ValueError as err:
        raise ProgramFailed(FailureCode.NO_OUTPUT, f"an output cannot be kept: {err}") from err
    return path
