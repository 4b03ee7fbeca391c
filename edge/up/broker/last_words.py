"""Finds in RabbitMQ's output why it did not start, as one line."""

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
    """The line of RabbitMQ's output that tells a person why it ended; empty when none does.

    Order of preference: the first error it logged while it prepared (a bad key, a name in use; later ones are
    suggestions and consequences), the reason of the failed boot, the last line with words in it.
    """
    lines = [(level, text) for level, text in map(_split, console.splitlines()) if _WORDS.search(text)]
    errors = [text for level, text in lines if level == "error" and not text.startswith((_FAILED, _STARTUP))]
    if errors:
        return errors[0][:_WIDTH]
    reason = console.partition(_STARTUP)[2].partition("\n\n")[0]
    if reason:
        words = re.sub(r"\s+", "", reason)
        # The cause is the innermost error; what is around it only names supervisors.
        return words[max(words.rfind("{error,"), 0) :][:_WIDTH]
    return lines[-1][1][:_WIDTH] if lines else ""


def read_tail(path: Path) -> str:
    """The end of a file that may be missing, as text."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
            return file.read().decode(errors="replace")
    except OSError:
        return ""


def _split(line: str) -> tuple[str, str]:
    match = _PREFIX.match(line)
    return (match["level"], line[match.end() :].strip()) if match else ("", line.strip())
