"""The README quotes the sentence that a board shows for a job that waits for power."""

from __future__ import annotations

import re

from edge.config.power import PowerConfig
from edge.model import PowerState, PowerStatus
from edge.power.policy import policy, wording
from edge.power.policy.rules import Level, from_config
from tests.docs.pages import TOP
from tests.unit.gateway.test_waiting import told
from tests.unit.power.readings import charge


def test_the_sentence_of_the_readme_is_what_a_board_says() -> None:
    """The quote is the sentence for default thresholds, a battery at 28 %, and three jobs before this one."""
    rules, state = from_config(PowerConfig()), policy.PolicyState()
    for sample, percent in enumerate((60, 60, 60, 28, 28, 28)):
        state = policy.step(rules, state, (charge(percent),), sample * 10.0, 60)
    assert state.level is Level.LOW
    explained = wording.explain(rules, state)
    low = PowerStatus(PowerState.LOW, explained.code, explained.reason, until=explained.until)
    quoted = re.search(r"`waiting ([^`]+)`", (TOP / "README.md").read_text())
    assert quoted is not None
    assert " ".join(quoted[1].split()) == told(power=low, ahead=3)
