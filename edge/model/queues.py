"""The queues that the gateway remembers over its restarts.

The catalogue is read at each start, which takes seconds. Meanwhile open jobs are published by the routes known last.
AMQP cannot list queues, so queues of a former pool or worker are found by this memory.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Self

import msgspec

from edge.core import durable


class KnownQueues(msgspec.Struct, frozen=True):
    """Kinds of the pool io, and every queue that was ever wanted beside those of every board."""

    io: tuple[str, ...] = ()
    queues: tuple[str, ...] = ()

    @classmethod
    def read(cls, path: Path) -> Self:
        """Return what is remembered; nothing if the file is missing or unreadable."""
        with suppress(OSError, ValueError):
            return msgspec.json.decode(path.read_bytes(), type=cls)
        return cls()

    def keep(self, path: Path) -> None:
        """Make it durable, before any of the queues is declared. Raises OSError."""
        durable.replace(path, msgspec.json.encode(self) + b"\n")
