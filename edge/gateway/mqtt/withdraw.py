"""Removes the retained messages of this board from a broker.

The connection for this ends once the broker has confirmed all removals, or after `PATIENCE_S`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial

from edge.config.mqtt import MqttBroker
from edge.mqtt.connection import Connection, Publication, Received

#: Time after which the removal is given up, because the broker may not exist any more. The next start tries again.
PATIENCE_S = 600.0


class _Removal:
    """Publishes empty messages after each connect. Its methods are called on the thread of the connection."""

    def __init__(self, topics: tuple[str, ...], done: Callable[[], None]) -> None:
        self._left, self._topics, self._done = set(topics), topics, done
        self.connection: Connection | None = None

    def up(self) -> None:
        if self.connection is not None:
            # An empty retained message removes the retained one. When the discovery document is removed, Home Assistant
            # removes the device.
            empty = (Publication(topic, b"", retain=True, sure=True) for topic in self._topics)
            self.connection.publish(*empty)

    def down(self) -> None:
        """Do nothing: after the next connect `up` publishes again."""

    def received(self, message: Received) -> None:
        """Do nothing: no topic is subscribed."""

    def confirmed(self, topic: str) -> None:
        self._left.discard(topic)
        if not self._left:
            self._done()


async def withdraw(
    broker: MqttBroker, topics: Sequence[str], *, note: Callable[[str], None], patience_s: float = PATIENCE_S
) -> bool:
    """Remove the retained messages that `broker` keeps on `topics`.

    Args:
        broker: where to connect.
        topics: topics of this board.
        note: takes one line for the log.
        patience_s: time limit in seconds.

    Returns:
        True once the broker has confirmed all removals, or False if it has not within `patience_s`.
    """
    if not topics:
        return True
    loop, done = asyncio.get_running_loop(), asyncio.Event()
    removal = _Removal(tuple(topics), partial(_set, loop, done))
    connection = removal.connection = Connection(broker, removal, note=note)
    connection.start()
    try:
        async with asyncio.timeout(patience_s):
            await done.wait()
    except TimeoutError:
        return False
    finally:
        await asyncio.to_thread(connection.close)
    return True


def _set(loop: asyncio.AbstractEventLoop, event: asyncio.Event) -> None:
    """Set `event`, from any thread."""
    loop.call_soon_threadsafe(event.set)
