"""What the gateway does about the files that jobs are given. Knows nothing of HTTP."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping

import msgspec

from edge.core.errors import StorageError, UnknownInput, UsageError
from edge.core.layout import Layout
from edge.model import InputFile
from edge.results.inputs import Inputs


class Files:
    """The files of one board. Methods may be called from any thread, unless they say otherwise."""

    def __init__(self, layout: Layout) -> None:
        self._inputs = Inputs(layout.files)
        self._lock = threading.Lock()
        self._used: dict[str, float] = {}  # when a submission last named a file: a job of it may be on its way

    def filled(self, files: Mapping[str, InputFile]) -> dict[str, InputFile]:
        """Return `files` with the size of each, and a name.

        Raises UnknownInput, StorageError; UsageError where a size is given that the file does not have.
        """
        return {name: self._filled(name, file) for name, file in files.items()}

    def _filled(self, name: str, file: InputFile) -> InputFile:
        with self._lock:
            try:
                size = self._inputs.size(file.sha256)
            except OSError as err:
                raise StorageError("the files that jobs are given", err) from err
            if size is None:
                raise UnknownInput(name, file.sha256)
            self._used[file.sha256] = time.monotonic()
        if file.bytes not in (None, size):
            raise UsageError(f"files.{name}: bytes = {file.bytes}: the file with this SHA-256 has {size}")
        return msgspec.structs.replace(file, name=file.name or name, bytes=size)
