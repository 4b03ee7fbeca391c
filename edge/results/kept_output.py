"""Reads the output of an ended program from a file of its result: head and tail, with a line for the cut between."""

from __future__ import annotations

import re

from edge.model import Result
from edge.results.output import Run
from edge.results.store import Results

#: Length of the head, and of each file of the tail, in bytes.
FILE_BYTES = 128 << 10
#: Number of files of the tail.
TAIL_FILES = 3

#: The character that a value has in place of bytes that are not UTF-8.
_UNKNOWN = "\N{REPLACEMENT CHARACTER}"
_CUT = re.compile(rb"\n\[\.\.\. ([0-9]{1,15}) bytes cut \.\.\.\]\n")
#: Largest file that a worker writes: the head, the tail, and the line for the cut.
MOST_BYTES = FILE_BYTES * (1 + TAIL_FILES) + 4096


def cut_line(missing: int) -> bytes:
    """Return the line that replaces `missing` bytes that were not kept."""
    return b"\n[... %d bytes cut ...]\n" % missing


def kept(results: Results, result: Result, stream: str, offset: int) -> Run | None:
    """Return the output of `stream` from `offset` on, or None if no program ran or its output is not known.

    The program may have written a file `stdout.txt` itself. The file counts as its output only if the size and the last
    lines are those that the worker has recorded in the value. Raises OSError.
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
    if _UNKNOWN in last:  # the replaced bytes are not known, so the text behind them has no known offset
        return Run(0, text) if offset == 0 and len(last) >= size else Run(size, b"")
    return read([Run(max(size - len(text), 0), text)], offset)


def _text(data: bytes) -> str:
    """Return the last bytes as text, with the same replacements as in a value."""
    return data[-MOST_BYTES:].decode(errors="replace").replace("\0", _UNKNOWN)


def runs(data: bytes, size: int | None) -> list[Run] | None:
    """Return the parts of a kept file with their offsets in the stream, or None if it is not a file of kept output.

    A program may print a line like the line for a cut, or write a file with the same name. So only a line directly
    behind the head counts as a cut, and the parts must add up to the size of the stream.

    Args:
        data: the content of the file.
        size: length of the whole stream; None if it is not known, because the job failed.
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
    """Return the bytes from `offset` on, or from the first kept byte behind it."""
    for part in parts:
        if offset < part.offset + len(part.data):
            first = max(offset, part.offset)
            return Run(first, part.data[first - part.offset :], part.next)
    end = parts[-1].offset + len(parts[-1].data)
    return Run(min(offset, end), b"")
