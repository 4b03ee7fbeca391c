"""Explains the policy's state to people: a stable code, a reason with the numbers, and the rule that ends the state."""

from __future__ import annotations

import msgspec

from edge.core.text import duration
from edge.model import Reading, Verdict
from edge.power.inputs.limits import Band, Level
from edge.power.inputs.quantity import Quantity
from edge.power.policy.policy import PolicyState, Track, ceiling, rule_of
from edge.power.policy.rules import Rules

_HOUR_S = 3600.0
_VERDICTS = {
    Level.CRITICAL: Verdict.CRITICAL,
    Level.STOPPED: Verdict.UNKNOWN,
    Level.LOW: Verdict.LOW,
    Level.NORMAL: Verdict.OK,
    Level.SURPLUS: Verdict.SURPLUS,
}


class Wording(msgspec.Struct, frozen=True):
    """The explanation of a state."""

    code: str  # stable, for programs
    reason: str  # with the numbers
    until: str  # what ends the state


def explain(rules: Rules, state: PolicyState) -> Wording:
    """Return the explanation of `state`: of the track that decides, or of the limit on rises per hour."""
    if not state.tracks:
        return Wording("no-readings", "nothing has been read yet", "the first readings")
    if state.capped:
        return _capped(rules, state)
    by_ceiling = sorted(state.tracks.values(), key=lambda t: (ceiling(t, rule_of(rules, t)), t.level))
    worst = by_ceiling[0]
    below = [track for track in by_ceiling if ceiling(track, rule_of(rules, track)) < Level.NORMAL]
    if below:
        return _all_below(rules, state, below)
    if state.level is Level.SURPLUS:
        claim = next(t for t in by_ceiling if t.level is Level.SURPLUS and rule_of(rules, t).claims_surplus)
        return Wording("surplus", _value(rules, claim.reading), _leaves(rules, claim))
    summary = [track.reading for track in state.tracks.values() if _quantity(rules, track.reading).summary]
    shown = [_value(rules, reading) for reading in summary]
    vetoed = ceiling(worst, rule_of(rules, worst)) is Level.NORMAL and _value(rules, worst.reading) not in shown
    reason = "; ".join(shown) or "no source reports bad power"
    ending = "; ".join(filter(None, (_leaves(rules, t) for t in by_ceiling[:3])))
    return Wording("normal", reason + (f"; no surplus: {_value(rules, worst.reading)}" if vetoed else ""), ending)


def judged(state: PolicyState, readings: tuple[Reading, ...]) -> tuple[Reading, ...]:
    """Return the readings with the verdict of their tracks, for people. Readings that decide nothing do not change."""
    shown = []
    for reading in readings:
        track = state.tracks.get(f"{reading.source}/{reading.what}")
        if track is None or reading.verdict is Verdict.UNKNOWN:
            shown.append(reading)
        else:
            shown.append(msgspec.structs.replace(reading, verdict=_VERDICTS[track.level]))
    return tuple(shown)


def _capped(rules: Rules, state: PolicyState) -> Wording:
    left_s = max(0.0, min(state.rises, default=state.now) + _HOUR_S - state.now)
    return Wording(
        "flapping",
        f"power is good again, but rose {len(state.rises)} times within an hour",
        f"fewer than {rules.max_rises_per_hour} rises in an hour, in {duration(left_s)}",
    )


def _all_below(rules: Rules, state: PolicyState, below: list[Track]) -> Wording:
    """Return the explanation of the worst track. Its `until` also names up to two other tracks that must rise."""
    worst = _below_normal(rules, state, below[0])
    if below[0].fresh:
        return worst
    others = [f"for {_short(rules, track.reading)}: {_below_normal(rules, state, track).until}" for track in below[1:3]]
    return msgspec.structs.replace(worst, until="; ".join((worst.until, *others)))


def _below_normal(rules: Rules, state: PolicyState, track: Track) -> Wording:
    rule, reading, what = rule_of(rules, track), track.reading, track.reading.what
    dwell = f" and holds for {duration(rule.resume_after_s)}" if rule.resume_after_s and not track.fresh else ""
    if track.fresh:
        value = _value(rules, reading)
        code, reason = "starting", f"first readings: {value} ({track.goods} of {rule.good_samples} samples)"
        return Wording(code, reason, f"{rule.good_samples} good samples in a row")
    if track.judged.rises_to > track.level and track.judged.rises_to >= Level.NORMAL:
        held_s = state.now - track.good_since
        return Wording(
            f"{what}-settling",
            f"{_value(rules, reading)}, good for {duration(held_s)}",
            f"good for {duration(rule.resume_after_s)}, in {duration(rule.resume_after_s - held_s)}",
        )
    if track.judged.unknown:
        return Wording(
            f"{what}-unknown",
            f"{_name(reading)} is unknown: {reading.reason or 'its last value is too old'}",
            f"it is known{dwell}",
        )
    if what == "window":
        passed = f" and {duration(rule.resume_after_s)} have passed" if rule.resume_after_s else ""
        return Wording("window", "a time window (power.policy.windows) allows no more", f"the window ends{passed}")
    suffix = "critical" if track.level is Level.CRITICAL else "low"
    if rule.band is not None and reading.verdict is not Verdict.LOW and reading.verdict is not Verdict.CRITICAL:
        return _band_words(rule.band, _value(rules, reading), track, suffix, dwell)
    value = _value(rules, reading)
    reason = f"{value} ({reading.reason})" if reading.reason and reading.reason not in value else value
    return Wording(f"{what}-{suffix}", reason, f"{_quantity(rules, reading).recovery or f'{what} is good'}{dwell}")


def _band_words(band: Band, value: str, track: Track, suffix: str, dwell: str) -> Wording:
    reading = track.reading
    better = "falls to" if band.worse_above else "reaches"
    if suffix == "critical" and band.critical is not None:
        reason = f"{value}, critical is {band.critical:g} {reading.unit}"
    elif track.judged.falls_to <= Level.LOW:
        reason = f"{value}, pause is at {band.pause:g} {reading.unit}"
    else:
        reason = f"{value}, resume is at {band.resume:g} {reading.unit}"
    return Wording(f"{reading.what}-{suffix}", reason, f"it {better} {band.resume:g} {reading.unit}{dwell}")


def _leaves(rules: Rules, track: Track) -> str:
    """Return what would end a good state, in words, or an empty string."""
    reading, rule = track.reading, rule_of(rules, track)
    if rule.band is not None and not rule.only_claims:
        worse = "rises to" if rule.band.worse_above else "falls to"
        return f"{reading.what} {worse} {rule.band.pause:g} {reading.unit}"
    ending = _quantity(rules, reading).ending
    return ending(reading) if ending is not None else ""


def _quantity(rules: Rules, reading: Reading) -> Quantity:
    return rules.quantity(reading.source, reading.what)


def _name(reading: Reading) -> str:
    if reading.what == "source":
        return reading.source
    return f"{reading.what.replace('_', ' ')} of {reading.source}"


def _short(rules: Rules, reading: Reading) -> str:
    return "the time of day" if reading.what == "window" else _value(rules, reading)


def _value(rules: Rules, reading: Reading) -> str:
    if reading.what == "window":
        return "limited by the time of day"
    if reading.value is None:
        return f"{_name(reading)} unknown"
    return _quantity(rules, reading).text(reading)
