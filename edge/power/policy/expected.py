"""When normal power is expected back, where that is a matter of time alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from edge.power.inputs.limits import Level
from edge.power.policy.policy import PolicyState, Track, ceiling, limited, rule_of
from edge.power.policy.rules import Rule, Rules

_HOUR_S = 3600.0
_DAY_MIN = 24 * 60
_LONGEST_S = 50 * _HOUR_S  # a window, a change of the clock, and the longest dwell after it
_ABOUT_S = 300.0  # samples may be so long in coming
_QUARTER_MIN = 15
_EARLY_MIN = 1e-6  # a clock that is read at an edge, less a rounding error, is past it

#: Minutes of the local day, with the part of the minute that has passed, so many seconds from now.
MinuteAt = Callable[[float], float]


def seconds(rules: Rules, state: PolicyState, minute_at: MinuteAt | None = None) -> float | None:
    """Seconds until `state` may be normal again if every reading stays as it is; None: it is, or nobody knows.

    Args:
        rules: what the state was decided by.
        state: the state of now.
        minute_at: the clock on the wall in time to come; it jumps on the days of a clock change. Without it, every
            day has 24 hours.
    """
    if state.level >= Level.NORMAL or not state.tracks:
        return None
    below = [(track, rule_of(rules, track)) for track in state.tracks.values()]
    if any(ceiling(track, rule) >= Level.NORMAL > track.judged.falls_to for track, rule in below):
        return None  # about to fall as well
    window = state.tracks.get("window")
    clock = None
    if window is not None and window.reading.value is not None:
        clock = minute_at or _even_days(window.reading.value)
    left = [_track(rules, state, track, rule, clock) for track, rule in below if ceiling(track, rule) < Level.NORMAL]
    recent = sorted(at for at in state.rises if state.now - at < _HOUR_S)
    if state.started and len(recent) >= rules.max_rises_per_hour:
        left.append(recent[len(recent) - rules.max_rises_per_hour] + _HOUR_S - state.now)
    finite = [each for each in left if each is not None]
    if not finite or len(finite) < len(left):
        return None
    return max(finite) if clock is None else _outside(rules, clock, max(finite))


def _even_days(minute: float) -> MinuteAt:
    return lambda later_s: (minute + later_s / 60) % _DAY_MIN


def _track(rules: Rules, state: PolicyState, track: Track, rule: Rule, clock: MinuteAt | None) -> float | None:
    if track.judged.rises_to >= Level.NORMAL:  # good already: it has to hold
        dwell_s = 0.0 if track.fresh else rule.resume_after_s
        left_s = max(0.0, dwell_s - (state.now - track.good_since))
        # Within this run of good samples it was worse: it settles on that first, and holds once more from there.
        return left_s if track.good_to >= Level.NORMAL else left_s + rule.resume_after_s
    if track.reading.what == "window" and clock is not None:
        end_s = next((at for at, holds in _changes(rules, clock) if not holds), None)
        return None if end_s is None else end_s + rule.resume_after_s
    return None


def _outside(rules: Rules, clock: MinuteAt, ready_s: float) -> float | None:
    """`ready_s`, or the end of the last window before it and its dwell; None where a window begins about then."""
    dwell_s = rules.window.resume_after_s
    held, earliest_s = False, 0.0  # whether a window holds, and when normal power is possible after the last one
    for at_s, holds in _changes(rules, clock):
        if holds and at_s > max(ready_s, earliest_s) + _ABOUT_S:
            break  # too late to matter
        if holds and at_s > max(ready_s, earliest_s):
            return None
        if held and not holds:
            earliest_s = at_s + dwell_s
        held = holds
    at_s = max(ready_s, earliest_s)
    return None if held or at_s + _ABOUT_S > _LONGEST_S else at_s  # later, another window may begin before it


def _changes(rules: Rules, clock: MinuteAt) -> Iterator[tuple[float, bool]]:
    """(seconds from now, whether the time of day forbids normal power) for now and at each change of that."""
    edges = {minute for window in rules.windows for minute in (window.first, window.end)}
    edges |= set(range(0, _DAY_MIN, _QUARTER_MIN))  # clocks are changed at a quarter of an hour
    ahead = sorted(edges | {edge + _DAY_MIN for edge in edges})
    at_s, held = 0.0, None
    while at_s <= _LONGEST_S:
        minute = clock(at_s) + _EARLY_MIN
        holds = limited(rules, int(minute) % _DAY_MIN) < Level.NORMAL
        if holds is not held:
            yield at_s, holds
            held = holds
        at_s += (next(edge for edge in ahead if edge > minute) - minute + 2 * _EARLY_MIN) * 60
