"""Keeps the last day's readings as lines of JSON in tmpfs, within limits of time and size, for `edge power replay`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from edge.core import stored
from edge.core.errors import UsageError
from edge.model import PowerState, Reading


class Sample(msgspec.Struct, frozen=True, omit_defaults=True):
    """The readings of one sample: a line of the history."""

    now: float  # monotonic seconds
    readings: tuple[Reading, ...]
    at: float = 0.0  # seconds since the epoch by the board's clock, right or wrong
    minute: int | None = None  # minute of the local day; None if the clock could not be trusted
    state: PowerState = PowerState.UNKNOWN  # the state that was reported


class ReadingHistory:
    """Writes samples to two files in turn. When the newer file is full, it replaces the older one.

    Each file holds up to `hours` of samples and half of `max_bytes`. The history is not a reason to stop the governor,
    so `append` ignores errors such as a full tmpfs. Belongs to the governor's thread.
    """

    def __init__(self, path: Path, *, hours: float = 24.0, max_bytes: int = 4 << 20) -> None:
        self.path, self.older = path, path.with_suffix(".1.jsonl")
        # Right after the files are exchanged only the older one has samples. So each file spans all of `hours`, and
        # the history never covers less.
        self._file_s, self._file_bytes = hours * 3600, max_bytes // 2
        self._encode = msgspec.json.Encoder().encode
        self._began: float | None = None

    def append(self, sample: Sample) -> None:
        """Add a sample to the newer file. If that file is then full, it replaces the older one."""
        self._began = sample.now if self._began is None else self._began
        try:
            fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
            try:
                before, line = os.fstat(fd).st_size, self._encode(sample) + b"\n"
                size = before + os.write(fd, line)
                if size < before + len(line):  # tmpfs is full, and half a line would make the next line unreadable too
                    os.ftruncate(fd, before)
            finally:
                os.close(fd)
            if size >= self._file_bytes or sample.now - self._began >= self._file_s:
                self.path.replace(self.older)
                self._began = sample.now
        except OSError:
            return


def read(path: Path) -> Iterator[Sample]:
    """Yield the samples of a file, oldest first.

    An incomplete last line is left out: a history that is being written may have one.

    Raises:
        UsageError: the file cannot be read, or a line is not a sample; the text names the first such line.
    """
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                try:
                    yield stored.decoded(line, Sample)
                except stored.BadContent as err:
                    if not line.endswith(b"\n"):
                        return
                    raise UsageError(f"{path}:{number}: not a sample: {err}") from err
    except OSError as err:
        raise UsageError(f"{path}: {err.strerror or err}") from err
