"""Requests to restart a broker that accepts connections but whose queues refuse jobs or do not answer.

That happens to RabbitMQ after a full disk: its queues stay dead, even with room on the disk, until it is restarted. So
gateway and workers write a file in `/run` when they see it, and `edge up` or a systemd unit restarts the broker.
"""

from __future__ import annotations

import logging
from contextlib import suppress

from edge.core import durable
from edge.core.layout import Layout

log = logging.getLogger(__name__)

_ENOUGH = 2  # failures in a row; a single one may come from a broker that is just stopping


class RestartRequest:
    """The restart request of one process. Belongs to one thread."""

    def __init__(self, layout: Layout, name: str) -> None:
        self._path = layout.complaints / name
        self._answer = layout.broker_restarted
        self._times = 0
        self._is_written = False

    def make(self, why: str) -> None:
        """Note that a queue refused or did not answer. From the second in a row on, each call writes the request."""
        self._times += 1
        if self._times < _ENOUGH:
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            durable.replace_volatile(self._path, f"{why}\n".encode())
        except OSError as err:
            log.warning("cannot write %s: %s", self._path, err)
            return
        if not self._is_written:
            log.warning("the broker has to be started again: %s", why)
        self._is_written = True

    def answer(self) -> bytes:
        """Return a token that changes whenever the broker is restarted after a request of any process; empty before."""
        try:
            return self._answer.read_bytes()
        except OSError:
            return b""

    def withdraw(self) -> None:
        """Remove the request, because a queue has worked."""
        self._times = 0
        if self._is_written:
            self._is_written = False
            with suppress(OSError):
                self._path.unlink()
