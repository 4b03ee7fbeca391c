"""Removes what a broker keeps of this board: one connection for it, which ends once the broker has confirmed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial

from edge.config.mqtt import MqttBroker
from edge.mqtt.connection import Connection, Publication, Received

#: A broker that is gone for good is not asked for ever; the next start of the gateway tries again.
PATIENCE_S = 600.0


class _Removal:
    """Publishes the empty messages as soon as there is a connection; runs on its thread."""

    def __init__(self, topics: tuple[str, ...], done: Callable[[], None]) -> None:
        self._left, self._topics, self._done = set(topics), topics, done
        self.connection: Connection | None = None

    def up(self) -> None:
        if self.connection is not None:
            # An empty retained message removes the one that is kept, and for Home Assistant the device.
            empty = (Publication(topic, b"", retain=True, sure=True) for topic in self._topics)
            self.connection.publish(*empty)

    def down(self) -> None:
        """Nothing: the connection is made again, and `up` publishes once more."""

    def received(self, message: Received) -> None:
        """Nothing is subscribed."""

    def confirmed(self, topic: str) -> None:
        self._left.discard(topic)
        if not self._left:
            self._done()


async def withdraw(
    broker: MqttBroker, topics: Sequence[str], *, note: Callable[[str], None], patience_s: float = PATIENCE_S
) -> bool:
    """Remove what `broker` keeps of `topics`; False when it could not be reached, or refuses, for so long."""
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
