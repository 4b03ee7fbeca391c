"""Finds the one line in the output of RabbitMQ that tells why it did not start."""

from __future__ import annotations

import re
from pathlib import Path

_PREFIX = re.compile(r"^\d{4}-\d\d-\d\d \S+ \[(?P<level>\w+)\] <[\d.]+> ?")
_FAILED = "BOOT FAILED"
_STARTUP = "Error during startup:"
_WORDS = re.compile(r"[A-Za-z]{3}")
_WIDTH = 200
_TAIL_BYTES = 65_536


def last_words(console: str) -> str:
    """Return the line of RabbitMQ's output that tells why it ended, or "" if there is none.

    The first of these that exists is returned:
    - the first error that it logged during preparation, such as a bad key or a name in use (later errors are
      suggestions and consequences)
    - the reason of the failed boot
    - the last line with words in it
    """
    lines = [(level, text) for level, text in map(_split, console.splitlines()) if _WORDS.search(text)]
    errors = [text for level, text in lines if level == "error" and not text.startswith((_FAILED, _STARTUP))]
    if errors:
        return errors[0][:_WIDTH]
    reason = console.partition(_STARTUP)[2].partition("\n\n")[0]
    if reason:
        words = re.sub(r"\s+", "", reason)
        # The cause is the innermost error. The terms around it only name supervisors.
        return words[max(words.rfind("{error,"), 0) :][:_WIDTH]
    return lines[-1][1][:_WIDTH] if lines else ""


def read_tail(path: Path) -> str:
    """Return the last 64 KiB of a file as text, or "" if it cannot be read."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
            return file.read().decode(errors="replace")
    except OSError:
        return ""


def _split(line: str) -> tuple[str, str]:
    match = _PREFIX.match(line)
    return (match["level"], line[match.end() :].strip()) if match else ("", line.strip())
