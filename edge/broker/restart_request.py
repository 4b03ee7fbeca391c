"""Requests the restart of a broker that runs but does not work.

Its queues refuse jobs or do not answer, or it refuses every connection because it could not open its queues.

This happens to RabbitMQ after a full disk: its queues do not work until it is restarted, even if the disk has room
again. So gateway and workers write a file in `/run` when they see it, and `edge up` or a systemd unit restarts the
broker.
"""

from __future__ import annotations

import logging
from contextlib import suppress

from edge.core import durable
from edge.core.layout import Layout

log = logging.getLogger(__name__)

_ENOUGH = 2  # failures in a row that cause a request; a single one may come from a broker that is just stopping


class RestartRequest:
    """Writes and removes the restart request of one process. Belongs to one thread."""

    def __init__(self, layout: Layout, name: str) -> None:
        self._path = layout.complaints / name
        self._answer = layout.broker_restarted
        self._times = 0
        self._is_written = False

    def make(self, why: str) -> None:
        """Count a failure of a queue. From the second failure in a row on, each call writes the request.

        Args:
            why: the failure in one line, which becomes the content of the request.
        """
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
            log.warning("the broker must be restarted: %s", why)
        self._is_written = True

    def answer(self) -> bytes:
        """Return a token that changes whenever the broker is restarted after a request of any process.

        It is empty before the first restart.
        """
        try:
            return self._answer.read_bytes()
        except OSError:
            return b""

    def withdraw(self) -> None:
        """Remove the request and forget earlier failures, because a queue works."""
        self._times = 0
        if self._is_written:
            self._is_written = False
            with suppress(OSError):
                self._path.unlink()
