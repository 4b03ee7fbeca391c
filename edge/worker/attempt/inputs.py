"""Checks before a body begins that its input files are here. A node fetches them from its head."""

from __future__ import annotations

import fcntl
import logging
import os
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from edge.client.connection import LinkError
from edge.config import Config
from edge.core.errors import EdgeError, UnknownFile, Unreachable
from edge.core.text import size as in_words
from edge.model import Failure, FailureCode, InputFile
from edge.results.incoming import Incoming, WrongHash
from edge.results.inputs import Inputs
from edge.worker.attempt.head import Head

logger = logging.getLogger(__name__)

#: A node keeps a file for this time after its last use, because several jobs in a row may use the same file.
_KEEP_S = 86_400.0


class JobInputs(Protocol):
    """Makes sure that the input files of a job are on this board. Belongs to the main thread."""

    def look(self, files: Mapping[str, InputFile]) -> Failure | str | None:
        """Check the input files of a job by their names. Raises OSError.

        Returns:
            None if all files are here, a text that says why the body waits, or the failure of a job that can never run.
        """


class LocalInputs:
    """Checks the input files on a board with a gateway. They are here since the job was accepted."""

    def __init__(self, inputs: Inputs) -> None:
        self._inputs = inputs

    def look(self, files: Mapping[str, InputFile]) -> Failure | str | None:
        """Return None if all files are here, else the failure of the job. See `JobInputs.look`."""
        for name, file in files.items():
            size = self._inputs.size(file.sha256)
            if size is None or file.bytes not in (None, size):
                what = "is not on this board" if size is None else f"is damaged: it has {size} of {file.bytes} bytes"
                return Failure(FailureCode.NO_INPUT, f"file {name} ({file.sha256}) {what}")
        return None


class HeadInputs:
    """Fetches the input files of a node from its head, in a thread. All workers of the node fetch a file only once."""

    def __init__(self, inputs: Inputs, head: Head) -> None:
        self._inputs, self._head = inputs, head
        self._incoming = Incoming(inputs)
        self._thread: threading.Thread | None = None
        self._error: Exception | None = None
        self._got = 0

    def look(self, files: Mapping[str, InputFile]) -> Failure | str | None:
        """Return None if all files are here, or fetch the first missing one. See `JobInputs.look`.

        After a failed fetch this raises its error once. The next call resumes the fetch where it stopped.
        """
        missing = {name: file for name, file in files.items() if self._inputs.size(file.sha256) is None}
        if self._thread is not None and not self._thread.is_alive():
            self._thread, err, self._error = None, self._error, None
            if isinstance(err, UnknownFile | WrongHash):
                return Failure(FailureCode.NO_INPUT, f"the head: {err}")
            if err is not None:
                raise err if isinstance(err, OSError) else Unreachable(f"the head: {err}")
        if not missing:
            for file in files.values():
                os.utime(self._inputs.path(file.sha256))
            return None
        name, file = next(iter(missing.items()))
        if self._thread is None:
            self._got = 0
            self._thread = threading.Thread(target=self._fetch, args=(file,), name="edge-inputs", daemon=True)
            self._thread.start()
        total = f" of {in_words(file.bytes)}" if file.bytes is not None else ""
        return f"fetches file {file.name or name} from the head: {in_words(self._got)}{total}"

    def _fetch(self, file: InputFile) -> None:
        """Fetch one file. Runs in the thread. The next `look` raises its error."""
        try:
            self._incoming.make()
            with _alone(self._inputs.root / ".lock"):
                if self._inputs.size(file.sha256) is None:
                    self._tidy()
                    self._receive(file)
        except Exception as err:
            logger.warning("file %s cannot be fetched from the head: %s", file.sha256, err)
            self._error = err

    def _receive(self, file: InputFile) -> None:
        upload = self._incoming.begin(file.sha256, size=file.bytes, sha256=file.sha256, resume=True)
        try:
            self._got = upload.received
            if file.bytes is None or upload.received < file.bytes:
                for block in self._head.content(file.sha256, upload.received):
                    upload.append(block)
                    self._got = upload.received
        except (LinkError, EdgeError) as err:
            upload.save()
            upload.close()
            if isinstance(err, LinkError):
                raise Unreachable(f"the head: {err}") from err
            raise
        except OSError:
            upload.discard()
            raise
        self._incoming.store(file.sha256, upload.seal())

    def _tidy(self) -> None:
        """Remove the files that no job of this board has used for `_KEEP_S`."""
        now = time.time()
        for sha256 in self._inputs.stored():
            path = self._inputs.path(sha256)
            if now - path.stat().st_mtime > _KEEP_S:
                path.unlink(missing_ok=True)
        for key, _, saved_at in self._incoming.all():
            if now - saved_at > _KEEP_S:
                self._incoming.drop(key)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Wait until no other worker of this board fetches a file. Raises OSError."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def job_inputs(config: Config) -> JobInputs:
    """Return the check of input files for a board with a gateway, or for a node. Raises ConfigError."""
    inputs = Inputs(config.layout.files)
    return LocalInputs(inputs) if config.node.head_url is None else HeadInputs(inputs, Head(config.node))
