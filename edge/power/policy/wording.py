"""What the policy decided, said to people: a stable code, a sentence with the numbers, the rule that ends it."""

from __future__ import annotations

import msgspec

from edge.core.invariant import given
from edge.core.text import duration
from edge.model import Reading, Verdict
from edge.power.policy.policy import PolicyState, Track, ceiling, rule_of
from edge.power.policy.rules import Level, Rule, Rules

_HOUR_S = 3600.0
_VERDICTS = {
    Level.CRITICAL: Verdict.CRITICAL,
    Level.STOPPED: Verdict.UNKNOWN,
    Level.LOW: Verdict.LOW,
    Level.NORMAL: Verdict.OK,
    Level.SURPLUS: Verdict.SURPLUS,
}


class Wording(msgspec.Struct, frozen=True):
    """Why a state is what it is."""

    code: str
    reason: str
    until: str


def explain(rules: Rules, state: PolicyState) -> Wording:
    """The words for `state`: of the track that rules, or of the cap on flaps."""
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
        return Wording("surplus", _value(claim.reading), _leaves(claim, rule_of(rules, claim)))
    shown = [_value(t.reading) for t in state.tracks.values() if t.reading.what in {"charge", "volts", "supply"}]
    vetoed = ceiling(worst, rule_of(rules, worst)) is Level.NORMAL and _value(worst.reading) not in shown
    said = "; ".join(shown) or "no source objects"
    ending = "; ".join(filter(None, (_leaves(t, rule_of(rules, t)) for t in by_ceiling[:3])))
    return Wording("normal", said + (f"; no surplus: {_value(worst.reading)}" if vetoed else ""), ending)


def judged(state: PolicyState, readings: tuple[Reading, ...]) -> tuple[Reading, ...]:
    """The readings with the verdict of their tracks, for people to look at; what decides nothing stays as it is."""
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
    """The words of the worst track; each of the others has to end as well."""
    said = _below_normal(rules, state, below[0])
    if below[0].fresh:
        return said
    others = [f"for {_short(track.reading)}: {_below_normal(rules, state, track).until}" for track in below[1:3]]
    return msgspec.structs.replace(said, until="; ".join((said.until, *others)))


def _below_normal(rules: Rules, state: PolicyState, track: Track) -> Wording:
    rule, reading, what = rule_of(rules, track), track.reading, track.reading.what
    dwell = f" and holds for {duration(rule.resume_after_s)}" if rule.resume_after_s and not track.fresh else ""
    if track.fresh:
        code, reason = "starting", f"first readings: {_value(reading)} ({track.goods} of {rule.good_samples} samples)"
        return Wording(code, reason, f"{rule.good_samples} good samples in a row")
    if track.judged.rises_to > track.level and track.judged.rises_to >= Level.NORMAL:
        held_s = state.now - track.good_since
        return Wording(
            f"{what}-settling",
            f"{_value(reading)}, good for {duration(held_s)}",
            f"good for {duration(rule.resume_after_s)}, in {duration(max(0.0, rule.resume_after_s - held_s))}",
        )
    if track.judged.unknown:
        return Wording(
            f"{what}-unknown", f"{_name(reading)} is unknown: {reading.reason or 'stale'}", f"it is known{dwell}"
        )
    if what == "window":
        return Wording("window", "the time of day allows no more", f"the window ends{dwell}")
    suffix = "critical" if track.level is Level.CRITICAL else "low"
    if rule.band is not None and reading.verdict is not Verdict.LOW and reading.verdict is not Verdict.CRITICAL:
        return _band_words(rule, track, suffix, dwell)
    reason = f"{_value(reading)}" + (f" ({reading.reason})" if reading.reason and what != "supply" else "")
    return Wording(f"{what}-{suffix}", reason, f"{_good_again(reading)}{dwell}")


def _band_words(rule: Rule, track: Track, suffix: str, dwell: str) -> Wording:
    band, reading = given(rule.band, "the band of a reading"), track.reading
    better = "falls to" if band.worse_above else "reaches"
    if suffix == "critical" and band.critical is not None:
        reason = f"{_value(reading)}, critical is {band.critical:g} {reading.unit}"
    elif track.judged.falls_to <= Level.LOW:
        reason = f"{_value(reading)}, pause is at {band.pause:g} {reading.unit}"
    else:
        reason = f"{_value(reading)}, resume is at {band.resume:g} {reading.unit}"
    return Wording(f"{reading.what}-{suffix}", reason, f"it {better} {band.resume:g} {reading.unit}{dwell}")


def _leaves(track: Track, rule: Rule) -> str:
    """What would end a good state."""
    reading, band = track.reading, rule.band
    if band is not None and not rule.only_claims:
        worse = "rises to" if band.worse_above else "falls to"
        return f"{reading.what} {worse} {band.pause:g} {reading.unit}"
    if reading.what == "supply":
        return "the supply is lost" if reading.value else ""
    return "undervoltage" if reading.what == "undervoltage" else ""


def _good_again(reading: Reading) -> str:
    return {
        "supply": "the supply is back",
        "undervoltage": "no undervoltage",
        "low_battery": "the battery is no longer low",
        "clock": "the clock is set",
        "source": "it can be read",
        "simulated": "simulated power is good",
        "phase": "the charger has no fault",
    }.get(reading.what, f"{reading.what} is good")


def _name(reading: Reading) -> str:
    if reading.what == "source":
        return reading.source
    return f"{reading.what.replace('_', ' ')} of {reading.source}"


def _short(reading: Reading) -> str:
    return "the time of day" if reading.what == "window" else _value(reading)


def _value(reading: Reading) -> str:
    if reading.what == "window":
        return "limited by the time of day"
    if reading.value is None:
        return f"{_name(reading)} unknown"
    match reading.what:
        case "supply":
            if reading.reason:
                return reading.reason if reading.verdict is Verdict.SURPLUS else f"supply {_on(reading)}"
            return f"supply {_on(reading)}"
        case "undervoltage":
            return "undervoltage" if reading.value else "no undervoltage"
        case "low_battery":
            return f"{reading.source} says battery low" if reading.value else "battery not low"
        case "simulated":
            return f"simulated power is {reading.verdict}"
        case "clock":
            return reading.reason or "clock set"
        case "phase":
            return f"charger in {reading.reason}"
        case "source":
            return f"{reading.source} can be read"
    number = f"{reading.value:.1f}" if reading.what in {"volts", "amps"} else f"{reading.value:.0f}"
    if reading.what == "volts":
        number = f"{reading.value:.2f}"
    return f"{reading.what.replace('_', ' ')} {number} {reading.unit}".strip()


def _on(reading: Reading) -> str:
    return "present" if reading.value else "lost: on battery"
