"""The discovery document passes the checks of Home Assistant."""

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
    """The document is valid with all and with no reported quantities, and has about twenty entities."""
    shown = entities(MqttConfig(controls=controls), quantities)
    found = json.loads(document(TOPICS, shown, {"gone": "sensor"}, model="board"))
    assert not faults(found)
    assert found["components"].pop("gone") == {"platform": "sensor"}
    assert 14 <= len(found["components"]) <= 24
    assert ("paused" in found["components"]) is controls


def test_energy_is_a_total_that_grows() -> None:
    """Energy is a growing total, which the energy dashboard needs. A smaller value means that it began again."""
    found = json.loads(document(TOPICS, ENTITIES, {}, model="board"))["components"]["energy"]
    assert (found["state_class"], found["device_class"]) == ("total_increasing", "energy")


def test_online_comes_from_the_last_will_and_is_always_available() -> None:
    """`online` is always available. Otherwise no automation could test whether a board is offline."""
    found = json.loads(document(TOPICS, ENTITIES, {}, model="board"))["components"]["online"]
    assert found["state_topic"] == "edge/attic/online"
    assert "availability_topic" not in found


def test_throttled_is_shown_where_undervoltage_is_reported() -> None:
    """The entity for `throttled` also shows undervoltage, so a source that reports either one makes it appear."""
    keys = {each.key for each in entities(MqttConfig(), {"throttled"})}
    assert "throttled" in keys
