"""Readings that several test modules use."""

from __future__ import annotations

from edge.model import Reading, Verdict


def charge(percent: float) -> Reading:
    """Return the reading of a battery at `percent`."""
    return Reading("battery", "charge", percent, "%", verdict=Verdict.OK)
