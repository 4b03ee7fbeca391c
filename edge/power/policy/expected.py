"""When normal power is expected back, where that is a matter of time alone."""

from __future__ import annotations

import math

from edge.power.policy.policy import PolicyState, Track, ceiling, limited, rule_of
from edge.power.policy.rules import Level, Rule, Rules

_HOUR_S = 3600.0
_DAY_MIN = 24 * 60
_ABOUT_MIN = 5  # samples may be so long in coming


def seconds(rules: Rules, state: PolicyState) -> float | None:
    """Seconds until `state` may be normal again if every reading stays as it is; None: it is, or nobody knows."""
    if state.level >= Level.NORMAL or not state.tracks:
        return None
    below = [(track, rule_of(rules, track)) for track in state.tracks.values()]
    if any(ceiling(track, rule) >= Level.NORMAL > track.judged.falls_to for track, rule in below):
        return None  # about to fall as well
    left = [_track(rules, state, track, rule) for track, rule in below if ceiling(track, rule) < Level.NORMAL]
    recent = sorted(at for at in state.rises if state.now - at < _HOUR_S)
    if state.started and len(recent) >= rules.max_rises_per_hour:
        left.append(recent[len(recent) - rules.max_rises_per_hour] + _HOUR_S - state.now)
    known = [each for each in left if each is not None]
    return _outside(rules, state, max(known)) if known and len(known) == len(left) else None


def _track(rules: Rules, state: PolicyState, track: Track, rule: Rule) -> float | None:
    if track.judged.rises_to >= Level.NORMAL:  # good already: it has to hold
        dwell_s = 0.0 if track.fresh else rule.resume_after_s
        left_s = max(0.0, dwell_s - (state.now - track.good_since))
        # Within this run of good samples it was worse: it settles on that first, and holds once more from there.
        return left_s if track.good_to >= Level.NORMAL else left_s + rule.resume_after_s
    if track.reading.what == "window" and track.reading.value is not None:
        return _window(rules, int(track.reading.value), rule)
    return None


def _outside(rules: Rules, state: PolicyState, left_s: float) -> float | None:
    """`left_s`, or the end of the window that has begun by then; None where it begins about then."""
    window = state.tracks.get("window")
    if window is None or window.reading.value is None:
        return left_s
    minute, first = int(window.reading.value), math.ceil(left_s / 60)
    limits = [limited(rules, (minute + first + more) % _DAY_MIN) < Level.NORMAL for more in range(-1, _ABOUT_MIN)]
    if not any(limits):
        return left_s
    return _window(rules, minute, rules.window, first) if all(limits) else None


def _window(rules: Rules, minute: int, rule: Rule, first: int = 1) -> float | None:
    for later in range(first, first + _DAY_MIN):
        if limited(rules, (minute + later) % _DAY_MIN) >= Level.NORMAL:
            return later * 60.0 + rule.resume_after_s
    return None
