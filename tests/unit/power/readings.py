"""Readings that the tests of several parts use."""

from __future__ import annotations

from edge.model import Reading, Verdict


def charge(percent: float) -> Reading:
    """A battery at `percent`."""
    return Reading("battery", "charge", percent, "%", verdict=Verdict.OK)
