"""Makes readings: what a source says, and what it cannot say."""

from __future__ import annotations

from edge.model import Reading, Verdict

__all__ = ["Reading", "Unreadable", "Verdict", "known", "unknown"]


class Unreadable(Exception):
    """An input that cannot be used; its text is the reason that the reading carries."""


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
    """A reading that was taken `age_s` ago."""
    return Reading(source, what, value, unit, age_s=age_s, verdict=verdict, reason=reason)


def unknown(source: str, what: str, reason: object, unit: str = "", *, age_s: float = 0.0) -> Reading:
    """A reading that could not be taken, or cannot be believed."""
    return Reading(source, what, None, unit, age_s=age_s, verdict=Verdict.UNKNOWN, reason=str(reason))
