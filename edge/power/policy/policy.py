"""The policy: a pure function that computes the next power state from the last state and the readings.

    step(rules, state, readings, now, minute) -> state

Each quantity that decides has a `Track`. Its level falls only after enough samples, and rises only after enough samples
and enough time. Each sample is judged twice: to which level it pulls a better one down, and to which level it lets a
worse one rise. Between the two limits of a band the two answers differ, and the level stays.

The worst track decides. Surplus needs a track that claims it, and no track that vetoes it. `now` is monotonic and never
goes back. The wall clock is used only as `minute` of the day, which is None if the clock cannot be trusted. The time of
day makes one more track, so the same samples and the same dwell apply after a jump of the clock.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import msgspec

from edge.model import Reading, Verdict
from edge.power.inputs.limits import Level
from edge.power.policy.rules import Rule, Rules

_HOUR_S = 3600.0
_BATTERY_LEVELS = frozenset({"charge", "volts"})
_SAME_SAMPLE_S = 0.05  # a cached reading that is seen again, when another source sent a notice, is not a new sample


class Judged(msgspec.Struct, frozen=True):
    """The judgement of one sample alone: to which level a better one falls, and to which a worse one may rise."""

    falls_to: Level
    rises_to: Level
    unknown: bool = False


class Track(msgspec.Struct, frozen=True):
    """The settled level of one quantity of one source, and the samples in a row that speak for a change."""

    reading: Reading  # the last one
    judged: Judged
    level: Level
    fresh: bool = True  # True until the first level is settled, which needs samples but no dwell
    lows: int = 0  # samples in a row that pull the level down
    criticals: int = 0  # samples in a row that are critical
    goods: int = 0  # samples in a row that let the level rise
    good_to: Level = Level.SURPLUS  # the level that all of these allow
    good_since: float = 0.0  # time of the first of these
    measured: float = 0.0  # time at which the last reading was measured


class PolicyState(msgspec.Struct, frozen=True):
    """Everything that the policy remembers. Times are monotonic seconds.

    A board starts with `PolicyState()`: nothing runs until readings have shown that power is good.
    """

    level: Level = Level.STOPPED
    since: float = 0.0
    now: float = 0.0
    started: bool = False  # True once every track has settled
    on_battery: bool = False
    capped: bool = False  # True while the level is kept below what the tracks allow, because it rose too often
    tracks: dict[str, Track] = {}  # by "source/what"
    rises: tuple[float, ...] = ()  # times of the rises of the last hour


def step(rules: Rules, state: PolicyState, readings: Sequence[Reading], now: float, minute: int | None) -> PolicyState:
    """Return the state after one sample.

    Args:
        rules: the rules of the decision.
        state: the state before.
        readings: the current readings of all sources.
        now: monotonic seconds.
        minute: minute of the local day, or None if the wall clock cannot be trusted.
    """
    now = max(now, state.now)
    seen = {f"{r.source}/{r.what}": r for r in readings if rules.rule(r.source, r.what)}
    for key, track in state.tracks.items():
        if key not in seen and key != "window":
            seen[key] = _lost(track.reading, readings)
    on_battery = _on_battery(state, seen)
    assumed = _unknown_as(rules, minute)
    backed = any(_tells_of_battery(r) for r in seen.values())
    idle = {r.source for r in readings if r.what == "discharging" and r.value == 0 and r.age_s <= rules.stale_after_s}
    tracks: dict[str, Track] = {}
    for key, reading in seen.items():
        rule = rules.rule(reading.source, reading.what)
        if rule is None:  # the quantity decides nothing any more: the configuration changed since the state was saved
            continue
        if rule.holds_s is not None and reading.age_s <= rule.holds_s:
            reading = msgspec.structs.replace(reading, age_s=0.0)  # noqa: PLW2901 - a value that holds counts as new
        judged = _judge(rules, rule, reading, on_battery=on_battery, backed=backed, assumed=assumed)
        if reading.source in idle and reading.what in _BATTERY_LEVELS:
            # The battery is not being discharged, so a shutdown would save nothing.
            judged = _at_least_low(judged)
        old = state.tracks.get(key) or _new_track(state, rule, reading, judged)
        stale = reading.age_s > rules.stale_after_s
        tracks[key] = _settled(old, rule, reading, judged, now, at_once=stale)
    if rules.windows:
        judged = _judge_window(rules, minute)
        reading = Reading("clock", "window", None if minute is None else float(minute), "min", verdict=Verdict.OK)
        old = state.tracks.get("window") or _new_track(state, rules.window, reading, judged)
        tracks["window"] = _settled(old, rules.window, reading, judged, now, at_once=True)
    target = _worst(rules, tracks)
    started = state.started or not any(t.fresh for t in tracks.values())
    rises = tuple(at for at in state.rises if now - at < _HOUR_S)
    level, capped = state.level, False
    if target < level:
        level = target
    elif target > level:
        # The first rise after a start does not count as flapping.
        capped = state.started and len(rises) >= rules.max_rises_per_hour
        if not capped:
            level = target
            rises = (*rises, now) if state.started else rises
    since = state.since if level == state.level and state.tracks else now
    return PolicyState(level, since, now, started, on_battery, capped, tracks, rises)


def resumed(state: PolicyState) -> PolicyState:
    """Return the state for a restarted governor of the same boot: levels and rises stay, sample counts start at 0."""
    tracks = {
        key: msgspec.structs.replace(track, lows=0, criticals=0, goods=0, good_to=Level.SURPLUS)
        for key, track in state.tracks.items()
    }
    return msgspec.structs.replace(state, tracks=tracks)


def of_sources(state: PolicyState, sources: Collection[str]) -> PolicyState:
    """Return `state` without the tracks of sources that are not among `sources`, those that are configured now."""
    tracks = {
        key: track
        for key, track in state.tracks.items()
        if track.reading.source.partition(":")[0] in sources or track.reading.what == "window"
    }
    return state if len(tracks) == len(state.tracks) else msgspec.structs.replace(state, tracks=tracks)


def ceiling(track: Track, rule: Rule) -> Level:
    """Return the best state that a track allows.

    For example, a good battery at 60 % claims no surplus, but it allows surplus.
    """
    return track.level if track.level < Level.NORMAL or rule.vetoes_surplus else Level.SURPLUS


def limited(rules: Rules, minute: int | None) -> Level:
    """Return the best level that the time of day allows.

    If the clock cannot be trusted (`minute` is None), every window that limits the level applies.
    """
    limits = [w.at_most for w in rules.windows if w.at_most is not None and (minute is None or w.holds(minute))]
    return min(limits, default=Level.SURPLUS)


def rule_of(rules: Rules, track: Track) -> Rule:
    """Return the rule that applies to a track."""
    found = rules.window if track.reading.what == "window" else rules.rule(track.reading.source, track.reading.what)
    return found or Rule()


def _worst(rules: Rules, tracks: dict[str, Track]) -> Level:
    by_rule = [(track, rule_of(rules, track)) for track in tracks.values()]
    level = min((ceiling(track, rule) for track, rule in by_rule), default=Level.STOPPED)
    claimed = any(track.level is Level.SURPLUS and rule.claims_surplus for track, rule in by_rule)
    return level if claimed else min(level, Level.NORMAL)


def _lost(last: Reading, readings: Sequence[Reading]) -> Reading:
    """Return the reading that stands for a quantity that is no longer reported: an unknown one.

    The quantity `source` is an exception. It means that the source cannot be read, and counts as good again once the
    source reports other quantities.
    """
    if last.what == "source" and any(r.source.partition(":")[0] == last.source for r in readings):
        return msgspec.structs.replace(last, value=1.0, age_s=0.0, verdict=Verdict.OK, reason="")
    return msgspec.structs.replace(last, value=None, verdict=Verdict.UNKNOWN, reason="no longer reported")


def _judge(
    rules: Rules, rule: Rule, reading: Reading, *, on_battery: bool, backed: bool, assumed: Level | None
) -> Judged:
    """Judge one sample alone.

    Args:
        rules: the rules of the decision.
        rule: the rule of this quantity.
        reading: the sample.
        on_battery: True if the supply was lost when it was last known.
        backed: True if a battery is measured.
        assumed: the level that unknown counts as by a time window, or None without such a window.
    """
    if reading.verdict is Verdict.UNKNOWN or reading.value is None or reading.age_s > rules.stale_after_s:
        if rule.only_claims:
            return Judged(Level.NORMAL, Level.NORMAL, unknown=True)
        level = rule.unknown if assumed is None else max(rule.unknown, assumed)
        # On battery, as far as is known, the battery is being drained.
        level = min(level, Level.LOW) if on_battery else level
        return Judged(level, level, unknown=True)
    if reading.verdict is Verdict.CRITICAL:
        return Judged(Level.CRITICAL, Level.CRITICAL)
    if reading.verdict is Verdict.LOW:
        return Judged(Level.LOW, Level.LOW)
    if reading.what == "supply":
        if not reading.value:
            # If a battery is measured, the battery decides. Without one, nothing shows how much power is left.
            level = Level.NORMAL if backed else Level.LOW
            return Judged(level, level)
        return Judged(Level.SURPLUS, Level.SURPLUS)
    if reading.verdict is Verdict.SURPLUS:
        return Judged(Level.SURPLUS, Level.SURPLUS)
    if rule.band is None:
        return Judged(Level.NORMAL, Level.NORMAL)
    falls, rises = rule.band.levels(reading.value)
    return Judged(falls, rises)


def _at_least_low(judged: Judged) -> Judged:
    if judged.unknown or Level.CRITICAL not in {judged.falls_to, judged.rises_to}:
        return judged
    return Judged(max(judged.falls_to, Level.LOW), max(judged.rises_to, Level.LOW))


def _judge_window(rules: Rules, minute: int | None) -> Judged:
    level = limited(rules, minute)
    return Judged(level, level)


def _unknown_as(rules: Rules, minute: int | None) -> Level | None:
    """Return the level that unknown counts as at this time of day, or None if no window sets one.

    If the clock cannot be trusted (`minute` is None), no window applies.
    """
    if minute is None:
        return None
    assumed = [w.unknown_as for w in rules.windows if w.unknown_as is not None and w.holds(minute)]
    return max(assumed, default=None)


def _on_battery(state: PolicyState, seen: dict[str, Reading]) -> bool:
    supplies = [r.value for r in seen.values() if r.what == "supply" and r.value is not None]
    return not all(supplies) if supplies else state.on_battery


def _tells_of_battery(reading: Reading) -> bool:
    return reading.what in {"charge", "volts", "low_battery"} and reading.value is not None


def _new_track(state: PolicyState, rule: Rule, reading: Reading, judged: Judged) -> Track:
    """Return the first track of a quantity. If it appears after the start, it neither claims nor forbids anything."""
    if not state.started:
        return Track(reading, judged, Level.STOPPED)
    neutral = Level.SURPLUS if rule.vetoes_surplus else Level.NORMAL
    return Track(reading, judged, neutral, fresh=False)


def _settled(old: Track, rule: Rule, reading: Reading, judged: Judged, now: float, *, at_once: bool) -> Track:
    """Return the track after one more sample. With `at_once`, one sample is enough to lower the level."""
    measured = now - reading.age_s
    again = 0 if abs(measured - old.measured) < _SAME_SAMPLE_S else 1
    level, fresh = old.level, old.fresh
    falls_to, rises_to = judged.falls_to, judged.rises_to
    if fresh and rises_to < Level.LOW <= falls_to:
        rises_to = falls_to  # at a start there is no level to stay at: between the two limits of critical it is low
    lows = max(old.lows + again, 1) if falls_to < level else 0
    criticals = max(old.criticals + again, 1) if falls_to is Level.CRITICAL else 0
    goods = max(old.goods + again, 1) if rises_to > level else 0
    if fresh and rises_to > old.good_to:
        goods = min(goods, 1)  # better than the first samples: the level of a start needs equal samples in a row
    in_a_row = goods > 1 or (goods == 1 and old.goods == 1 and not again)
    good_since = old.good_since if in_a_row else now
    good_to = min(old.good_to, rises_to) if in_a_row else rises_to
    need = rule.unknown_samples if judged.unknown else rule.low_samples
    dwell_s = 0.0 if fresh else rule.resume_after_s
    if falls_to < level and criticals >= rule.critical_samples:
        level, fresh, lows = Level.CRITICAL, False, 0
    elif falls_to < level and (lows >= need or at_once):
        # Too few critical samples for critical, but enough for low.
        landed = Level.LOW if falls_to is Level.CRITICAL else falls_to
        level, lows = min(level, landed), 0
    elif rises_to > level and goods >= rule.good_samples and now - good_since >= dwell_s:
        level, fresh, goods = good_to, False, 0
    return Track(reading, judged, level, fresh, lows, criticals, goods, good_to, good_since, measured)
