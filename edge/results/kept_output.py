"""The output of a program as a file of its result: the head and the tail, with a line for what was cut between them."""

from __future__ import annotations

import re

from edge.model import Result
from edge.results.output import Run
from edge.results.store import Results

#: Bytes of the head, and of each file of the tail.
FILE_BYTES = 128 << 10
#: Files of the tail.
TAIL_FILES = 3

#: What stands in a value for bytes that are no text.
_UNKNOWN = "\N{REPLACEMENT CHARACTER}"
_CUT = re.compile(rb"\n\[\.\.\. ([0-9]{1,15}) bytes cut \.\.\.\]\n")
#: No file of ours is larger: the head, the tail, and lines for what was cut.
MOST_BYTES = FILE_BYTES * (1 + TAIL_FILES) + 4096


def cut_line(missing: int) -> bytes:
    """The line that stands for bytes that were not kept."""
    return b"\n[... %d bytes cut ...]\n" % missing


def kept(results: Results, result: Result, stream: str, offset: int) -> Run | None:
    """What a result has of `stream` from `offset` on. Raises OSError.

    The file `stdout.txt` may be one that the program made. It is taken for its output only where size and last lines
    are those that its worker noted.
    """
    value = result.value if isinstance(result.value, dict) else {}
    size, last = value.get(f"{stream}_bytes"), value.get(stream)
    if result.failure is None and not (isinstance(size, int) and isinstance(last, str)):
        return None  # no program has run
    name = f"{stream}.txt"
    if any(file.name == name and file.size_bytes <= MOST_BYTES for file in result.files):
        data = results.artifact(result, name).read_bytes()
        if not isinstance(size, int) or not isinstance(last, str):
            return read(runs(data, None) or [], offset)
        if (parts := runs(data, size)) is not None and _text(data).endswith(last):
            return read(parts, offset)
    if not isinstance(size, int) or not isinstance(last, str):
        return None
    text = last.encode()
    if _UNKNOWN in last:  # which bytes they were is not known, so nothing behind them has an offset
        return Run(0, text) if offset == 0 and len(last) >= size else Run(size, b"")
    return read([Run(max(size - len(text), 0), text)], offset)


def _text(data: bytes) -> str:
    """The text of the last bytes, as a value has it."""
    return data[-MOST_BYTES:].decode(errors="replace").replace("\0", _UNKNOWN)


def runs(data: bytes, size: int | None) -> list[Run] | None:
    """Return the parts of a kept file with their offsets in the stream; None: it is no such file.

    A program may print a line like ours, or leave a file of the name. So a cut is taken for one only where the head
    ends, and the parts have to make up the whole.

    Args:
        data: the content of the file.
        size: bytes of the whole stream; None: not known, because the job failed.
    """
    if len(data) == size or (size is None and len(data) < FILE_BYTES):
        return [Run(0, data)]
    cut = _CUT.match(data, FILE_BYTES)
    if cut is None:
        return [Run(0, data)] if size is None else None
    begin = FILE_BYTES + int(cut[1])
    tail = data[cut.end() :]
    if size is not None and begin + len(tail) != size:
        return None
    return [Run(0, data[:FILE_BYTES], next=begin), Run(begin, tail)]


def read(parts: list[Run], offset: int) -> Run:
    """The bytes from `offset` on, or from the first one behind it that was kept."""
    for part in parts:
        if offset < part.offset + len(part.data):
            first = max(offset, part.offset)
            return Run(first, part.data[first - part.offset :], part.next)
    end = parts[-1].offset + len(parts[-1].data)
    return Run(min(offset, end), b"")
