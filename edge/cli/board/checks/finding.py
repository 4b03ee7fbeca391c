"""What a check found."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Severity(StrEnum):
    """How bad it is; FAIL makes `edge doctor` exit 1."""

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
    """All is well with `part`."""
    return Finding(Severity.OK, part, text)


def warn(part: str, text: str, advice: str) -> Finding:
    """Works, but not as it should."""
    return Finding(Severity.WARN, part, text, advice)


def fail(part: str, text: str, advice: str) -> Finding:
    """Does not work."""
    return Finding(Severity.FAIL, part, text, advice)
