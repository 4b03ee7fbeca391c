"""The discovery document, checked as Home Assistant checks it."""

from __future__ import annotations

import json

import pytest

from edge.config.mqtt import MqttConfig
from edge.gateway.mqtt.entities import ENTITIES, QUANTITIES, Topics, document, entities
from tests.homeassistant.listener import faults

TOPICS = Topics("edge_1", "attic")


@pytest.mark.parametrize("controls", [True, False])
@pytest.mark.parametrize("quantities", [frozenset(), QUANTITIES])
def test_home_assistant_takes_the_document(quantities: frozenset[str], controls: bool) -> None:
    """Whatever the board's sources report; about twenty entities."""
    shown = entities(MqttConfig(controls=controls), quantities)
    found = json.loads(document(TOPICS, shown, {"gone": "sensor"}, model="board"))
    assert not faults(found)
    assert found["components"].pop("gone") == {"platform": "sensor"}
    assert 14 <= len(found["components"]) <= 24
    assert ("paused" in found["components"]) is controls


def test_energy_is_a_total_that_grows() -> None:
    """As Home Assistant's energy dashboard wants it; a smaller value is a new beginning for it."""
    found = json.loads(document(TOPICS, ENTITIES, {}, model="board"))["components"]["energy"]
    assert (found["state_class"], found["device_class"]) == ("total_increasing", "energy")


def test_online_is_told_by_the_last_will_and_always_available() -> None:
    """Else a board that is offline would be shown as unavailable, and no automation could ask for it."""
    found = json.loads(document(TOPICS, ENTITIES, {}, model="board"))["components"]["online"]
    assert found["state_topic"] == "edge/attic/online"
    assert "availability_topic" not in found


def test_throttled_is_shown_where_undervoltage_is_reported() -> None:
    """One source reports both."""
    keys = {each.key for each in entities(MqttConfig(), {"throttled"})}
    assert "throttled" in keys
