"""Tests of the replay: a recorded day runs through the policy again."""

from __future__ import annotations

from itertools import pairwise

import msgspec

from edge.config.power import PowerConfig
from edge.core.layout import Layout
from edge.model import PowerState
from edge.power.governor.history import Sample
from edge.power.governor.replay import replay
from edge.power.sources.simulated import Simulated, SimulatedConfig
from tests.unit.power.readings import charge


class TestReplay:
    def test_each_change_has_its_time_and_reason(self) -> None:
        """A battery that drains and fills again gives three changes: start, pause and resume."""
        samples = [Sample(n * 10.0, (charge(percent),)) for n, percent in enumerate([50] * 3 + [29] * 3 + [46] * 40)]
        changes = list(replay(PowerConfig(), samples))
        assert [(c.state, c.now) for c in changes] == [
            (PowerState.UNKNOWN, 0.0), (PowerState.NORMAL, 20.0), (PowerState.LOW, 50.0), (PowerState.NORMAL, 360.0),
        ]  # fmt: skip
        assert changes[2].reason == "charge 29 %, pause is at 30 %"
        assert changes[2].until == "it reaches 45 % and holds for 5 min"

    def test_a_new_boot_within_the_record_starts_anew(self) -> None:
        """If the monotonic clock goes back, the policy starts anew."""
        samples = [Sample(1000.0 + n * 10, (charge(50),)) for n in range(4)]
        samples += [Sample(n * 10.0, (charge(38),)) for n in range(4)]
        assert [c.state for c in replay(PowerConfig(), samples)][-1] is PowerState.LOW

    def test_the_duration_of_a_state_counts_both_boots(self) -> None:
        """A state that a new boot continues lasted for the time before the boot and the time after it."""
        samples = [Sample(1000.0 + n * 10, (charge(50),)) for n in range(2)]
        samples += [Sample(n * 10.0, (charge(50),)) for n in range(3)]
        assert [(c.state, c.lasted_s) for c in replay(PowerConfig(), samples)] == [
            (PowerState.UNKNOWN, 0.0), (PowerState.NORMAL, 30.0),
        ]  # fmt: skip

    def test_a_source_that_was_renamed_that_day_does_not_pause_the_rest_of_it(self) -> None:
        """The old name is not a sensor that fell silent. A governor that is restarted with the new name agrees."""
        samples = [Sample(n * 10.0, (charge(50),)) for n in range(4)]
        renamed = msgspec.structs.replace(charge(50), source="cells")
        samples += [Sample(100.0 + n * 10, (renamed,)) for n in range(40)]
        assert [c.state for c in replay(PowerConfig(), samples)] == [PowerState.UNKNOWN, PowerState.NORMAL]


def test_a_whole_solar_day_pauses_and_resumes_once(layout: Layout) -> None:
    """With the default policy, power is low at night and normal by day under the simulated sun, without flapping."""
    sun = Simulated(SimulatedConfig(day_s=86_400.0), live=layout.simulated)
    samples = [Sample(n * 30.0, sun.read(n * 30.0)) for n in range(2 * 86_400 // 30)]
    states = [change.state for change in replay(PowerConfig(), samples)]
    assert all(a is not b for a, b in pairwise(states))
    assert states.count(PowerState.LOW) == 2, states
