"""Tests of the words for a state: code, reason, and what ends it."""

from __future__ import annotations

from edge.config.power import PolicyConfig, PowerConfig, WindowConfig
from edge.model import Reading, Verdict
from edge.power.policy import policy
from edge.power.policy import wording as words
from edge.power.policy.rules import Level, from_config
from edge.power.sources.temperature import TemperatureConfig
from tests.unit.power.readings import charge


class TestWording:
    def test_every_state_of_a_discharge_and_recharge_has_code_reason_and_end(self) -> None:
        """During a simulated discharge and recharge each state has its words, and the codes are the expected ones."""
        rules, state = from_config(PowerConfig()), policy.PolicyState()
        seen = set()
        percents = [60, 60, 60, 38, 29, 29, 29, 38, 46, *[46] * 31, 92, *[92] * 31, 9, 9]
        readings: list[tuple[Reading, ...]] = [(charge(p),) for p in percents]
        readings += [(Reading("battery", "charge", reason="gone", unit="%"),)] * 3
        for n, batch in enumerate(readings):
            state = policy.step(rules, state, batch, n * 10.0, 60)
            explained = words.explain(rules, state)
            seen.add(explained.code)
            assert explained.reason, state
            assert explained.until or state.level is Level.NORMAL, state
        assert seen == {
            "starting", "normal", "charge-low", "charge-settling", "surplus", "charge-critical", "charge-unknown",
        }  # fmt: skip

    def test_until_names_everything_that_keeps_power_low(self) -> None:
        """If charge, temperature and a window keep power low, `until` names what must change for each of them."""
        night = PolicyConfig(windows=(WindowConfig(from_="00:00", to="06:00", at_most="low"),))
        config = PowerConfig(sources=(TemperatureConfig(),), policy=night)
        rules, state = from_config(config), policy.PolicyState()
        hot = Reading("temperature", "temperature", 90.0, "C", verdict=Verdict.OK)
        for n in range(3):
            state = policy.step(rules, state, (charge(20), hot), n * 10.0, 60)
        explained = words.explain(rules, state)
        assert explained.reason == "charge 20 %, pause is at 30 %"
        first, *others = explained.until.split("; ")
        assert first == "it reaches 45 % and holds for 5 min"
        assert others == [
            "for temperature 90 C: it falls to 70 C",
            "for the time of day: the window ends and 5 min have passed",
        ]
