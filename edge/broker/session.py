"""One channel to the broker in confirm mode, which tracks the confirm of each published job."""

from __future__ import annotations

import logging
import select
import socket
import ssl
import time
from collections.abc import Iterable

import msgspec

from edge.broker import topology
from edge.broker.border import Link
from edge.broker.frames import publish
from edge.broker.message import message
from edge.broker.routes import Routes
from edge.config import BrokerConfig
from edge.core.errors import QueueSilent
from edge.ledger.rows import JobRow, MessageKey

log = logging.getLogger(__name__)

WINDOW = 256  # largest number of unconfirmed jobs: it hides the latency of the broker's sync, and few are sent twice
#: Longest wait for a confirm. A healthy broker needs one sync of its disk for it. A longer wait means that the queue
#: has no leader, or that the disk fails.
CONFIRM_S = 30.0


class PublishSession:
    """Publishes jobs on one channel in confirm mode, and collects the confirms.

    Belongs to the publisher's thread. All methods may raise OSError and AMQPError.
    """

    def __init__(self, config: BrokerConfig, connection: Link, routes: Routes | None = None) -> None:
        """Open a channel and declare the queues.

        Args:
            config: the settings of the broker.
            connection: an established connection.
            routes: the queue of each job. Without it, all jobs go to the queues of the pool main.
        """
        self._connection = connection
        self._channel = channel = connection.channel()
        self.routes = routes or Routes()
        topology.declare(channel, more=self.routes.queues)
        channel.confirm_select()
        channel.events["basic_ack"].add(self._on_ack)
        channel.events["basic_nack"].add(self._on_nack)
        channel.events["basic_return"].add(self._on_return)
        self._number: int = channel.channel_id
        self._most: int = connection.frame_max
        self._tag = 0
        self._unconfirmed: dict[int, tuple[JobRow, float]] = {}
        self._unconfirmed_keys: set[MessageKey] = set()
        self._done: list[JobRow] = []
        self._origin = f"gateway@{config.host}"
        self.socket: socket.socket = connection.sock
        self._readable = select.poll()
        self._readable.register(self.socket, select.POLLIN)

    @property
    def window_left(self) -> int:
        """Number of jobs that may be published before another confirm comes."""
        return WINDOW - len(self._unconfirmed)

    def follow(self, routes: Routes) -> None:
        """Declare the queues of `routes`, and use these routes for all later publishes."""
        topology.declare(self._channel, more=routes.queues)
        self.routes = routes

    def publish(self, jobs: Iterable[JobRow]) -> None:
        """Send jobs without waiting for their confirms.

        A job that is still unconfirmed is not sent again. A job with damaged arguments is logged and skipped.
        """
        frames: list[bytes] = []
        for job in jobs:
            if job.message_key in self._unconfirmed_keys:
                continue
            try:
                body, headers, properties = message(job, origin=self._origin)
            except (ValueError, TypeError, RecursionError) as err:
                log.error("job %s cannot be published, its arguments in the ledger are damaged: %s", job.id, err)
                continue
            queue = self.routes.queue(job.task, job.power)
            frames.append(publish(body, headers, properties, queue=queue, channel=self._number, most_bytes=self._most))
            self._tag += 1
            self._unconfirmed[self._tag] = (msgspec.structs.replace(job, arguments=b""), time.monotonic())
            self._unconfirmed_keys.add(job.message_key)
        if frames:
            self._connection.transport.write(b"".join(frames))

    def listen(self) -> None:
        """Handle all frames that the broker has sent. Call it when the socket is readable.

        Raises:
            QueueSilent: the broker refused or returned a job.
        """
        try:
            self._connection.drain_events(timeout=0)
            while self._has_more():
                self._connection.drain_events(timeout=0)
        except TimeoutError:
            return
        except OSError as err:
            if err.errno is None or "timed out" not in str(err):
                raise

    def _has_more(self) -> bool:
        """Return True if another frame can be read. The check takes a quarter of the time of a read."""
        if isinstance(self.socket, ssl.SSLSocket) and self.socket.pending():
            return True
        return bool(self._readable.poll(0))

    def take_confirmed(self) -> list[JobRow]:
        """Return the jobs that were confirmed since the last call."""
        done, self._done = self._done, []
        return done

    def patience(self) -> float | None:
        """Return the seconds until the oldest unconfirmed publish is overdue, or None if all are confirmed."""
        if not self._unconfirmed:
            return None
        _, sent = next(iter(self._unconfirmed.values()))
        return max(0.0, sent + CONFIRM_S - time.monotonic())

    def start_patience(self) -> None:
        """Restart the time limit of all unconfirmed publishes."""
        now = time.monotonic()
        self._unconfirmed = {tag: (job, now) for tag, (job, _) in self._unconfirmed.items()}

    def check_patience(self) -> None:
        """Raise QueueSilent if a confirm is overdue."""
        if self.patience() == 0.0:
            raise QueueSilent(
                f"the oldest of {len(self._unconfirmed)} unconfirmed publishes has waited {CONFIRM_S:g} s"
            )

    def _on_ack(self, tag: int, multiple: bool) -> None:
        for each in [t for t in self._unconfirmed if t <= tag] if multiple else [tag]:
            job, _ = self._unconfirmed.pop(each)
            self._unconfirmed_keys.discard(job.message_key)
            self._done.append(job)

    def _on_nack(self, _tag: int, _multiple: bool) -> None:
        raise QueueSilent("it refused a job (queue over its limit, or without a leader)")

    def _on_return(self, exc: Exception, _exchange: str, routing_key: str, _message: object) -> None:
        raise QueueSilent(f"queue {routing_key} is gone: {exc}")
