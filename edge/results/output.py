"""Reads the output of a running program from the files of its worker: `run/output/WORKER/ID/STREAM/OFFSET`.

Each file begins at the offset in its name. The worker keeps the head and the tail of a stream. If bytes were left out,
there is a gap between them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

#: Name of a file in the folder of the streams that exists once the program has ended.
ENDED = "ended"
STREAMS = ("stdout", "stderr")


@dataclass(frozen=True)
class Run:
    """Consecutive bytes of a stream without a gap."""

    offset: int  # offset of the first byte in the stream
    data: bytes
    next: int | None = None  # offset of the next kept bytes after a gap; None if nothing more is kept


class OutputFiles:
    """Reads the output of one job on this board. Any thread may call its methods."""

    def __init__(self, root: Path, job_id: str, *, others: Sequence[Path] = ()) -> None:
        """Take the root folder, which is `Layout.output`, and the job. `others` are further root folders."""
        self._roots, self._id = (root, *others), job_id

    def folder(self) -> Path | None:
        """Return the folder of the job, or None if no program of it has printed anything on this board."""
        found = [path for root in self._roots for path in root.glob(f"*/{self._id}") if path.is_dir()]
        return max(found, key=lambda path: path.stat().st_mtime, default=None)

    def watched(self, stream: str) -> Iterator[Path]:
        """Yield the folders in which a file changes when the program prints more, outermost first."""
        for root in self._roots:
            yield root
            yield from (path for path in root.glob("*") if path.is_dir())
        if (folder := self.folder()) is not None:
            yield folder
            if (folder / stream).is_dir():
                yield folder / stream

    @property
    def has_ended(self) -> bool:
        """True if the program has ended, so that it prints no more."""
        folder = self.folder()
        return folder is not None and (folder / ENDED).exists()

    def read(self, stream: str, offset: int) -> Run | None:
        """Return the bytes from `offset` on, or from the first kept byte behind it, or None if there are none yet."""
        folder = self.folder()
        if folder is None:
            return None
        data, first, end = list[bytes](), offset, offset
        for begin, path in _files(folder / stream):
            try:
                content = path.read_bytes()
            except FileNotFoundError:  # the worker removed it just now to cut the output
                continue
            if begin + len(content) <= end:
                continue
            if begin > end:
                if data:
                    return Run(first, b"".join(data), next=begin)
                first = end = begin
            data.append(content[end - begin :])
            end = begin + len(content)
        found = b"".join(data)
        return Run(first, found) if found else None


def _files(folder: Path) -> list[tuple[int, Path]]:
    try:
        return sorted((int(path.name), path) for path in folder.iterdir() if path.name.isdecimal())
    except (FileNotFoundError, NotADirectoryError):
        return []
