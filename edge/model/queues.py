"""What the gateway remembers of its queues over its restarts.

The catalogue is read anew at each start, which takes seconds; jobs of before are published meanwhile by what was known
last. And AMQP lists no queues: what was declared for a pool or a worker that is gone is found again by this memory.
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
        """What is remembered; nothing where there is no memory, or none that can be read."""
        with suppress(OSError, ValueError):
            return msgspec.json.decode(path.read_bytes(), type=cls)
        return cls()

    def keep(self, path: Path) -> None:
        """Make it durable, before any of the queues is declared. Raises OSError."""
        durable.replace(path, msgspec.json.encode(self) + b"\n")
