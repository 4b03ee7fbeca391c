"""Reads the option `files` of `Job.spawn`: the input files that a body hands on to the job that it spawns.

Only files that the board stores can be handed on: those that this job got itself, and others by their hash. An artifact
cannot: it belongs to an attempt that may yet fail, and the board stores it only with the result.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import PurePath

import msgspec

from edge.catalog.inputs import check_files
from edge.core.errors import UsageError
from edge.model import InputFile, InputFiles
from edge.results.inputs import Inputs, is_sha256
from edge.worker.api.kind import TaskKind

_ALLOWED = (
    "expected job.input(NAME), or the SHA-256 of a file that the board stores. Other files must be sent to the board"
    " first, as by Client.upload of edge.client"
)


class Handed:
    """The files that the body of one job may hand on. Any thread may call its methods."""

    def __init__(
        self,
        own: Mapping[str, InputFile] | None = None,
        *,
        inputs: Inputs | None = None,
        stored: Callable[[str], int | None] | None = None,
    ) -> None:
        """`own` are the input files of this job by name, and `inputs` is where the body sees them.

        `stored` returns the size in bytes of a file that the board stores, by its hash, or None if it has no such
        file. Without it, as on a node, the board cannot tell.
        """
        self._own = {file.sha256: file for file in (own or {}).values()}
        self._inputs, self._stored = inputs, stored

    def files(self, kind: TaskKind, wanted: object) -> dict[str, InputFile]:
        """Return the input files of a job of this kind. Raises UsageError, BadArguments, OSError."""
        if not isinstance(wanted, Mapping):
            raise UsageError(f"spawn: files = {wanted!r:.80}: expected a dict of input names and files")
        found = {name: self._file(name, each) for name, each in wanted.items()}
        try:
            msgspec.convert(found, InputFiles)
        except msgspec.ValidationError as err:
            raise UsageError(f"spawn: files: {str(err).replace('`', '')}") from err
        if (command := kind.edge_command) is None:
            check_files(kind.name, found, inputs=None, one_folder=False)
            return found
        from edge.catalog.commands import inputs_of, is_any  # imported here, because most boards have no commands

        check_files(kind.name, found, inputs=inputs_of(command), one_folder=is_any(command))
        return found

    def _file(self, name: object, given: object) -> InputFile:
        shown = f"spawn: files[{name!r:.80}] = {given!r:.200}"
        sha256 = given.sha256 if isinstance(given, InputFile) else given
        if isinstance(given, PurePath):
            sha256 = given.name
            if self._inputs is None or os.fspath(given) != os.fspath(self._inputs.root / sha256):
                raise UsageError(f"{shown}: {_ALLOWED}")
        if not (isinstance(sha256, str) and is_sha256(sha256)):
            raise UsageError(f"{shown}: {_ALLOWED}")
        if (own := self._own.get(sha256)) is not None:
            return own
        size = self._stored(sha256) if self._stored is not None else None
        if size is None and self._stored is not None:
            raise UsageError(f"{shown}: the board stores no such file; {_ALLOWED}")
        return InputFile(str.__str__(sha256), bytes=size)
