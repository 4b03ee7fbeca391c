"""Makes the readings of a source: those with a value, and unknown ones with a reason."""

from __future__ import annotations

from edge.model import Reading, Verdict

__all__ = ["Reading", "Unreadable", "Verdict", "known", "unknown"]


class Unreadable(Exception):
    """An input could not be read, or its value is not usable. The text becomes the reason of an unknown reading."""


def known(
    source: str,
    what: str,
    value: float,
    unit: str = "",
    *,
    verdict: Verdict = Verdict.OK,
    reason: str = "",
    age_s: float = 0.0,
) -> Reading:
    """Return a reading with a value that was measured `age_s` seconds ago."""
    return Reading(source, what, value, unit, age_s=age_s, verdict=verdict, reason=reason)


def unknown(source: str, what: str, reason: object, unit: str = "", *, age_s: float = 0.0) -> Reading:
    """Return a reading without a value, because it could not be measured or cannot be believed."""
    return Reading(source, what, None, unit, age_s=age_s, verdict=Verdict.UNKNOWN, reason=str(reason))
