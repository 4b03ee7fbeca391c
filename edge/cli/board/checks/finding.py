"""The finding of a check: a severity, the part that was checked, a sentence, and an advice."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Severity(StrEnum):
    """Severity of a finding. FAIL makes `edge doctor` exit with 1."""

    OK = "ok"
    WARN = "warn"
    FAIL = "FAIL"


class Finding(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line of `edge doctor`."""

    level: Severity
    part: str
    text: str
    advice: str = ""  # what to do about it


def ok(part: str, text: str) -> Finding:
    """Return the finding that `part` works as it should."""
    return Finding(Severity.OK, part, text)


def warn(part: str, text: str, advice: str) -> Finding:
    """Return the finding that `part` works, but not as it should."""
    return Finding(Severity.WARN, part, text, advice)


def fail(part: str, text: str, advice: str) -> Finding:
    """Return the finding that `part` does not work."""
    return Finding(Severity.FAIL, part, text, advice)
