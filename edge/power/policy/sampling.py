"""Computes the time until the next sample: short near a threshold, long while nothing changes."""

from __future__ import annotations

from edge.config.power import SamplingConfig
from edge.power.inputs.limits import Level
from edge.power.policy.policy import PolicyState, Track, rule_of
from edge.power.policy.rules import Rule, Rules

_NEAR = 0.2  # of the band's width


def period_s(config: SamplingConfig, rules: Rules, state: PolicyState) -> float:
    """Return the seconds until the next sample."""
    tracks = [(track, rule_of(rules, track)) for track in state.tracks.values()]
    if any(_counting(track) for track, _ in tracks):
        return config.fast_s
    if not state.started or state.now - state.since < config.stable_after_s:
        return config.fast_s if any(_near(track, rule) for track, rule in tracks) else config.sample_s
    waiting = state.level < Level.NORMAL or any(_near(track, rule) or track.goods for track, rule in tracks)
    return config.sample_s if waiting else config.slow_s


def waits(state: PolicyState) -> bool:
    """Return True while time alone, or further equal samples, may change the state."""
    return state.capped or any(track.goods or track.lows or track.criticals for track in state.tracks.values())


def _counting(track: Track) -> bool:
    """Return True while a track counts samples that may change its level soon."""
    # A silent source is not sampled faster. It settles at unknown after some samples, three by default, and these must
    # take three normal periods: after a boot, upsd and its driver need some seconds to start.
    return bool(track.fresh or track.lows or track.criticals) and not track.judged.unknown


def _near(track: Track, rule: Rule) -> bool:
    """Return True if the value is close to a limit of its band."""
    band, value = rule.band, track.reading.value
    if band is None or value is None or rule.only_claims:
        return False
    width = abs(band.resume - band.pause) * _NEAR
    limits = [band.resume] if track.level < Level.NORMAL else [band.pause]
    limits += [band.critical] if band.critical is not None else []
    return any(abs(value - limit) <= width for limit in limits)
