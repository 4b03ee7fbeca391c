"""The last day's readings as lines of JSON in tmpfs, bounded in time and bytes; `edge power replay` reads them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from edge.core.errors import UsageError
from edge.model import PowerState, Reading


class Sample(msgspec.Struct, frozen=True, omit_defaults=True):
    """One round of readings: a line of the history."""

    now: float  # monotonic seconds
    readings: tuple[Reading, ...]
    at: float = 0.0  # seconds since the epoch, as the board believed
    minute: int | None = None  # of the day; None where the clock could not be trusted
    state: PowerState = PowerState.UNKNOWN  # what was decided then


class ReadingHistory:
    """Two files of half the time and half the bytes each: the older one goes when the newer is full.

    A history that cannot be written (tmpfs full) is not worth stopping for: `append` gives up quietly.
    """

    def __init__(self, path: Path, *, hours: float = 24.0, max_bytes: int = 4 << 20) -> None:
        self.path, self.older = path, path.with_suffix(".1.jsonl")
        # With the older half kept, the reach is between one and two halves: so that it is never under `hours`,
        # each half spans all of them.
        self._half_s, self._half_bytes = hours * 3600, max_bytes // 2
        self._encode = msgspec.json.Encoder().encode
        self._began: float | None = None

    def append(self, sample: Sample) -> None:
        """One more line; turns the files over when the newer is full."""
        self._began = sample.now if self._began is None else self._began
        try:
            fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
            try:
                before, line = os.fstat(fd).st_size, self._encode(sample) + b"\n"
                size = before + os.write(fd, line)
                if size < before + len(line):  # no room for all of it: half a line would spoil the next one as well
                    os.ftruncate(fd, before)
            finally:
                os.close(fd)
            if size >= self._half_bytes or sample.now - self._began >= self._half_s:
                self.path.replace(self.older)
                self._began = sample.now
        except OSError:
            return


def read(path: Path) -> Iterator[Sample]:
    """The samples of a file, oldest first. Raises UsageError naming the first bad line.

    A torn last line, as a history that is being written may have, is left out.
    """
    decode = msgspec.json.Decoder(Sample).decode
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                try:
                    yield decode(line)
                except (msgspec.DecodeError, UnicodeDecodeError) as err:
                    if not line.endswith(b"\n"):
                        return
                    raise UsageError(f"{path}:{number}: not a sample: {err}") from err
    except OSError as err:
        raise UsageError(f"{path}: {err.strerror or err}") from err
