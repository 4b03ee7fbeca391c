"""What gateway and workers have against the broker: it takes them in, and a queue refuses or answers nothing.

A full disk does that to RabbitMQ: its queues stay dead when there is room again, until it is started anew. So whoever
meets it says so in a file in `/run`, and whoever looks after the broker (`edge up`, a unit of an appliance) acts.
"""

from __future__ import annotations

import logging
from contextlib import suppress

from edge.core import durable
from edge.core.layout import Layout

log = logging.getLogger(__name__)

_ENOUGH = 2  # in a row: one may be a broker that is just going down


class RestartRequest:
    """That of one process, by its name. Belongs to one thread."""

    def __init__(self, layout: Layout, name: str) -> None:
        self._path = layout.complaints / name
        self._answer = layout.broker_restarted
        self._times = 0
        self._laid_out = False

    def make(self, why: str) -> None:
        """Once more a queue refused or did not answer; laid out from the second time on, anew each time."""
        self._times += 1
        if self._times < _ENOUGH:
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            durable.replace_volatile(self._path, f"{why}\n".encode())
        except OSError as err:
            log.warning("cannot write %s: %s", self._path, err)
            return
        if not self._laid_out:
            log.warning("the broker has to be started again: %s", why)
        self._laid_out = True

    def answer(self) -> bytes:
        """Another one each time the broker was started again for a complaint, whose ever; empty before the first."""
        try:
            return self._answer.read_bytes()
        except OSError:
            return b""

    def withdraw(self) -> None:
        """A queue did what it is there for."""
        self._times = 0
        if self._laid_out:
            self._laid_out = False
            with suppress(OSError):
                self._path.unlink()
