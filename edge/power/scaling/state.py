"""Records that one decision remembers for the next. Times are monotonic seconds."""

from __future__ import annotations

import msgspec


class Peak(msgspec.Struct, frozen=True):
    """A number of processes that was needed until `until_s`."""

    until_s: float
    count: int


class ScaleState(msgspec.Struct, frozen=True, kw_only=True):
    """The number of processes that must run, and the numbers that were needed recently."""

    wanted: int = 0
    asked: int = 0  # number that was needed and allowed at the last decision
    peaks: tuple[Peak, ...] = ()  # higher numbers that were needed before, the highest first
    changed_s: float | None = None  # time of the last change of `wanted`
    forced_s: float | None = None  # time at which a limit last lowered `wanted`
    above_s: float | None = None  # time since which `asked` is above `wanted`
    urgent_s: float | None = None  # time at which class `always` last needed a worker


def remember(state: ScaleState, asked: int, *, now_s: float, window_s: float) -> tuple[Peak, ...]:
    """Return the peaks of the last `window_s`, with the number that was needed until now.

    A peak that ended before a higher one does not matter. So the counts in the list decrease, and it stays short.
    """
    # The decision names this same sum as its next time. A comparison by a difference could round to the other side.
    kept = [peak for peak in state.peaks if peak.until_s + window_s > now_s and peak.count > asked]
    if state.asked > asked:
        kept = [*(peak for peak in kept if peak.count > state.asked), Peak(now_s, state.asked)]
    return tuple(kept)
