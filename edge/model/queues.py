"""The record of queues that the gateway keeps over its restarts.

At each start the gateway reads the catalogue, which takes seconds. Until then it publishes open jobs by the routes in
this record. AMQP cannot list queues, so the gateway finds queues of a former pool or worker by this record too.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Self

import msgspec

from edge.core import durable, stored


class KnownQueues(msgspec.Struct, frozen=True):
    """The kinds of the pool io, and every queue that this board ever needed in addition to the usual ones."""

    io: tuple[str, ...] = ()
    queues: tuple[str, ...] = ()

    @classmethod
    def read(cls, path: Path) -> Self:
        """Return the record from its file, or an empty record if the file is missing or unreadable."""
        with suppress(OSError, ValueError):
            return stored.read(path, cls)
        return cls()

    def keep(self, path: Path) -> None:
        """Write the record durably. Call it before declaring any of the queues. Raises OSError."""
        durable.replace(path, msgspec.json.encode(self) + b"\n")
