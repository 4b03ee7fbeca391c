"""Takes pause and resume from MQTT and passes them to the governor, which reports the new state when it is done."""

from __future__ import annotations

from edge.core.layout import Layout
from edge.gateway.mqtt.entities import OFF, ON, PRESS, Topics
from edge.gateway.mqtt.log_limit import LogLimit, log, shown
from edge.mqtt.connection import Received
from edge.power import pause_order

_BY = "MQTT"


class Commands:
    """Takes the messages of the switch "Pause" and the button "Resume". Belongs to the event loop."""

    def __init__(self, layout: Layout, topics: Topics) -> None:
        self._layout, self._topics = layout, topics
        self._odd = LogLimit()

    @property
    def subscribed(self) -> tuple[str, ...]:
        """The topics of the commands."""
        return self._topics.pause, self._topics.resume

    def take(self, message: Received) -> None:
        """Pass a command to the governor. A retained message is ignored, because it may be of any age."""
        if message.retained:
            self._odd.warn(
                f"{message.topic}: a command that the MQTT broker has kept is not carried out; publish it again"
            )
            return
        wanted = {
            (self._topics.pause, ON.encode()): True,
            (self._topics.pause, OFF.encode()): False,
            (self._topics.resume, PRESS.encode()): False,
        }.get((message.topic, message.payload))
        if wanted is None:
            allowed = f"{ON} or {OFF}" if message.topic == self._topics.pause else PRESS
            self._odd.warn(f"{message.topic} = {shown(message.payload)}: expected {allowed}")
            return
        try:
            pause_order.give(self._layout.pause_order, resume=not wanted, by=_BY)
        except OSError as err:
            log.error("%s: %s", self._layout.pause_order, err.strerror or err)
