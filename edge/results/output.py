"""What the program of a job prints while it runs, as its worker keeps it: `run/output/WORKER/ID/STREAM/OFFSET`.

Each file begins at the offset that names it. The head and the tail of a stream are kept. A gap lies between them where
bytes were cut.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

#: Exists beside the streams once the program has ended.
ENDED = "ended"
STREAMS = ("stdout", "stderr")


@dataclass(frozen=True)
class Run:
    """A row of bytes without a gap, and where the next one begins."""

    offset: int
    data: bytes
    next: int | None = None  # None: nothing is kept behind it


class OutputFiles:
    """The output of one job on this board. Reads only; callable in any thread."""

    def __init__(self, root: Path, job_id: str) -> None:
        """`root` is `Layout.output`."""
        self._root, self._id = root, job_id

    def folder(self) -> Path | None:
        """The folder of the job; None: no program of it has printed anything here."""
        found = [path for path in self._root.glob(f"*/{self._id}") if path.is_dir()]
        return max(found, key=lambda path: path.stat().st_mtime, default=None)

    def watched(self, stream: str) -> Iterator[Path]:
        """The folders in which something changes when more is printed, outermost first."""
        yield self._root
        yield from (path for path in self._root.glob("*") if path.is_dir())
        if (folder := self.folder()) is not None:
            yield folder
            if (folder / stream).is_dir():
                yield folder / stream

    @property
    def has_ended(self) -> bool:
        """True when no more will be printed."""
        folder = self.folder()
        return folder is not None and (folder / ENDED).exists()

    def read(self, stream: str, offset: int) -> Run | None:
        """The bytes from `offset` on, or from the first one behind it that is kept; None: there are none (yet)."""
        folder = self.folder()
        if folder is None:
            return None
        data, first, end = list[bytes](), offset, offset
        for begin, path in _files(folder / stream):
            try:
                content = path.read_bytes()
            except FileNotFoundError:  # it was cut at this moment
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
