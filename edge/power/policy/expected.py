"""Computes when normal power is expected to return, if this depends on time alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from edge.power.inputs.limits import Level
from edge.power.policy.policy import PolicyState, Track, ceiling, limited, rule_of
from edge.power.policy.rules import Rule, Rules

_HOUR_S = 3600.0
_DAY_MIN = 24 * 60
_LONGEST_S = 50 * _HOUR_S  # enough for a window, a change to or from summer time, and the longest dwell after it
_ABOUT_S = 300.0  # tolerance, because the next sample may come this late
_QUARTER_MIN = 15
_EARLY_MIN = 1e-6  # added to each time, so that a rounding error does not put it just before the edge of a window

#: Returns the minute of the local day, with its fraction, at a time given in seconds from now.
MinuteAt = Callable[[float], float]


def seconds(rules: Rules, state: PolicyState, minute_at: MinuteAt | None = None) -> float | None:
    """Return the seconds until power may be normal again if every reading stays as it is.

    Args:
        rules: the rules by which `state` was decided.
        state: the current state.
        minute_at: the local minute at a later time; it jumps when summer time begins or ends. Without it, every day is
            taken to have 24 hours.

    Returns:
        None if power is normal already, or if its return does not depend on time alone.
    """
    if state.level >= Level.NORMAL or not state.tracks:
        return None
    below = [(track, rule_of(rules, track)) for track in state.tracks.values()]
    if any(ceiling(track, rule) >= Level.NORMAL > track.judged.falls_to for track, rule in below):
        return None  # a track that is normal now is about to fall too
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
    """Return the seconds until one track may be normal, or None if that does not depend on time alone."""
    if track.judged.rises_to >= Level.NORMAL:  # the reading is good already, and only the dwell is left
        dwell_s = 0.0 if track.fresh else rule.resume_after_s
        left_s = max(0.0, dwell_s - (state.now - track.good_since))
        # If this run of good samples began at a level below normal, the track first rises to that level. Then a second
        # dwell begins.
        return left_s if track.good_to >= Level.NORMAL else left_s + rule.resume_after_s
    if track.reading.what == "window" and clock is not None:
        end_s = next((at for at, holds in _changes(rules, clock) if not holds), None)
        return None if end_s is None else end_s + rule.resume_after_s
    return None


def _outside(rules: Rules, clock: MinuteAt, ready_s: float) -> float | None:
    """Return the first time from `ready_s` on at which no window forbids normal power, in seconds from now.

    After the end of a window its dwell is waited for. Returns None if a window begins at about that time, or if the
    time is too far ahead.
    """
    dwell_s = rules.window.resume_after_s
    held, earliest_s = False, 0.0  # True inside a window; and the time at which the dwell after the last window ends
    for at_s, holds in _changes(rules, clock):
        if holds and at_s > max(ready_s, earliest_s) + _ABOUT_S:
            break  # this window begins too late to matter
        if holds and at_s > max(ready_s, earliest_s):
            return None
        if held and not holds:
            earliest_s = at_s + dwell_s
        held = holds
    at_s = max(ready_s, earliest_s)
    return None if held or at_s + _ABOUT_S > _LONGEST_S else at_s  # windows after `_LONGEST_S` were not looked at


def _changes(rules: Rules, clock: MinuteAt) -> Iterator[tuple[float, bool]]:
    """Yield (seconds from now, True if the time of day forbids normal power) for now and for each later change."""
    edges = {minute for window in rules.windows for minute in (window.first, window.end)}
    edges |= set(range(0, _DAY_MIN, _QUARTER_MIN))  # summer time begins and ends at a full quarter of an hour
    ahead = sorted(edges | {edge + _DAY_MIN for edge in edges})
    at_s, held = 0.0, None
    while at_s <= _LONGEST_S:
        minute = clock(at_s) + _EARLY_MIN
        holds = limited(rules, int(minute) % _DAY_MIN) < Level.NORMAL
        if holds is not held:
            yield at_s, holds
            held = holds
        at_s += (next(edge for edge in ahead if edge > minute) - minute + 2 * _EARLY_MIN) * 60
