"""Readings: what a source says, and the two suspicions that hold for every number it says."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Protocol

from edge.model import Reading, Verdict

__all__ = ["FrozenCheck", "JumpCheck", "Reading", "Source", "Unreadable", "Verdict", "known", "unknown"]


class Source(Protocol):
    """Something that tells of power.

    `read` is called with a monotonic time in seconds, must return within about a quarter of a second,
    never raises, and always returns at least one reading; what it cannot tell is `unknown` with the
    reason. `close` may be called twice. A device that vanished is looked for again at each read.

    Two attributes are optional: `quiet` is true where nothing changes without a notice, so that it need
    not be read again; `max_period_s` is the longest time that may lie between two reads.
    """

    def read(self, now: float) -> tuple[Reading, ...]:
        """What there is to know now."""
        ...

    def close(self) -> None:
        """Let everything go; a later `read` takes it up again."""
        ...


class Unreadable(Exception):
    """An input that cannot be used; its text is the reason that the reading carries."""


def known(
    source: str, what: str, value: float, unit: str = "", *, verdict: Verdict = Verdict.OK, reason: str = ""
) -> Reading:
    """A reading just taken."""
    return Reading(source, what, value, unit, verdict=verdict, reason=reason)


def unknown(source: str, what: str, reason: object, unit: str = "", *, age_s: float = 0.0) -> Reading:
    """A reading that could not be taken, or cannot be believed."""
    return Reading(source, what, None, unit, age_s=age_s, verdict=Verdict.UNKNOWN, reason=str(reason))


class JumpCheck:
    """Doubts a battery that moves by tens of points between two samples, until it stays there.

    A gauge on a bad bus now and then answers with garbage that is within bounds; a real battery does not
    lose 20 points in seconds. After `confirm` samples near the new value it is believed.
    """

    def __init__(self, max_step: float, *, within_s: float = 120.0, confirm: int = 3) -> None:
        self.max_step, self.within_s, self.confirm = max_step, within_s, confirm
        self._believed: tuple[float, float] | None = None
        self._doubted: tuple[float, int] | None = None

    def check(self, now: float, value: float) -> str:
        """The reason to doubt `value`, or an empty string."""
        if self._believed is None or now - self._believed[0] > self.within_s:
            self._believed, self._doubted = (now, value), None
            return ""
        last = self._believed[1]
        if abs(value - last) <= self.max_step:
            self._believed, self._doubted = (now, value), None
            return ""
        near = self._doubted is not None and abs(value - self._doubted[0]) <= self.max_step
        count = self._doubted[1] + 1 if self._doubted is not None and near else 1
        if count >= self.confirm:
            self._believed, self._doubted = (now, value), None
            return ""
        self._doubted = (value, count)
        return f"jumped from {last:g} to {value:g} between two samples (believed after {self.confirm} in a row)"


class FrozenCheck:
    """Doubts a sensor whose raw numbers, noise included, do not move at all for `after_s` (0: never)."""

    def __init__(self, after_s: float) -> None:
        self.after_s = after_s
        self._last: Hashable = None
        self._since = 0.0

    def check(self, now: float, raw: Hashable) -> str:
        """The reason to doubt `raw`, or an empty string."""
        if raw != self._last:
            self._last, self._since = raw, now
        still_s = now - self._since
        if self.after_s and still_s >= self.after_s:
            return f"frozen: not one digit changed for {still_s / 60:.0f} min"
        return ""
