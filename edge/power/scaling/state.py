"""What the rule remembers from one decision to the next. Times are monotonic seconds."""

from __future__ import annotations

import msgspec


class Peak(msgspec.Struct, frozen=True):
    """A count that was asked for until `until_s`."""

    until_s: float
    count: int


class ScaleState(msgspec.Struct, frozen=True, kw_only=True):
    """The count in force, and what was asked for of late."""

    wanted: int = 0
    asked: int = 0  # by the last decision; it holds until the next one
    peaks: tuple[Peak, ...] = ()  # what was asked for before, the highest first
    changed_s: float | None = None
    forced_s: float | None = None  # the board took workers away
    above_s: float | None = None  # since when more is asked for than wanted
    urgent_s: float | None = None  # when class `always` last needed a worker


def remember(state: ScaleState, asked: int, *, now_s: float, window_s: float) -> tuple[Peak, ...]:
    """The peaks of the last `window_s`, with what was asked for until now.

    A lower count that ended before a higher one says nothing, so the list falls and stays short.
    """
    # A decision gives this sum as its next look. Comparing a difference could round to the other side of it.
    kept = [peak for peak in state.peaks if peak.until_s + window_s > now_s and peak.count > asked]
    if state.asked > asked:
        kept = [*(peak for peak in kept if peak.count > state.asked), Peak(now_s, state.asked)]
    return tuple(kept)
