"""Runs a recorded day through the policy again: shows when it would have paused and resumed, and why."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from edge.config.power import PowerConfig
from edge.model import PowerState
from edge.power.governor.history import Sample
from edge.power.policy import policy, wording
from edge.power.policy.rules import STATES, from_config


class Change(msgspec.Struct, frozen=True):
    """One change of state: the new state, its first sample and its reason."""

    now: float  # monotonic seconds of the first sample in this state
    at: float  # seconds since 1970 by the wall clock of the record; 0 if it was not recorded
    state: PowerState
    code: str
    reason: str
    until: str  # the rule that ends the state, in words
    lasted_s: float  # seconds that the state before lasted, while the board was on


def replay(config: PowerConfig, samples: Iterable[Sample]) -> Iterator[Change]:
    """Yield each change of state, oldest first.

    If the monotonic time of the record goes back, the board has booted again, and the policy starts anew.
    """
    rules = from_config(config)
    state = policy.PolicyState()
    current: PowerState | None = None
    before_boot_s, began, newest = 0.0, 0.0, 0.0
    for sample in samples:
        if sample.now < state.now:
            state = policy.PolicyState()
            before_boot_s, began = before_boot_s + newest - began, sample.now
        # Each source reports at least one reading in each sample. A source without one was removed from the
        # configuration during that day.
        state = policy.of_sources(state, {reading.source.partition(":")[0] for reading in sample.readings})
        state = policy.step(rules, state, sample.readings, sample.now, sample.minute)
        decided = STATES[state.level]
        if decided is not current:
            why = wording.explain(rules, state)
            lasted_s = 0.0 if current is None else before_boot_s + sample.now - began
            yield Change(sample.now, sample.at, decided, why.code, why.reason, why.until, lasted_s)
            current, before_boot_s, began = decided, 0.0, sample.now
        newest = sample.now
