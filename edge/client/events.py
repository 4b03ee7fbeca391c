"""Reads events as they happen: one stream of a gateway, which opens lost connections again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import Self

import msgspec

from edge.client.connection import Answer, LinkError
from edge.client.transport import Transport, decoded, path_of
from edge.core.backoff import Backoff
from edge.core.errors import EdgeError, Unreachable
from edge.wire import About, Event

#: The gateway sends something each minute, so a connection that is silent for this long is dead.
_SILENT_S = 150.0
_RETRY = Backoff(first_s=0.2, most_s=5.0)
_SHORT_S = 1.0  # a stream that ends sooner counts as a failed try


class EventStream:
    """Reads the events of one gateway in order. A lost connection is opened again and continues after the last event.

    Belongs to one thread. Outages after the first answer do not end the stream; each is passed to `on_outage`.
    """

    def __init__(
        self,
        http: Transport,
        query: Mapping[str, object],
        *,
        after: str = "",
        on_outage: Callable[[EdgeError], None] | None = None,
    ) -> None:
        """Take the filters. `after` is the id of the last known event; without it the stream begins at `open`."""
        self._http, self._query, self._on_outage = http, query, on_outage
        self.id = after  # id of the last event; a new connection resumes after it
        self._answer: Answer | None = None
        self._blocks: Iterator[bytes] = iter(())
        self._rest = b""
        self._opened_at = self._heard_at = 0.0
        self._pauses = _RETRY.pauses()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, err: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def connected(self) -> bool:
        """True while no outage of the connection is known."""
        return self._answer is not None

    def open(self, *, patience_s: float | None = None) -> None:
        """Connect, and try again for `patience_s` (by default that of the settings).

        Raises as `Transport.send` does: NotAllowed, UsageError, or GatewayError (404) if the gateway has no events.
        """
        headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": self.id} if self.id else {})
        self._answer = self._http.send(
            "GET",
            path_of("events"),
            query=self._query,
            headers=headers,
            longer_s=_SILENT_S,
            stream=True,
            patience_s=patience_s,
        )
        self._blocks, self._rest, self._opened_at = self._answer.stream(), b"", time.monotonic()
        self._heard_at = self._opened_at
        while b"\n\n" not in self._rest:  # the first block has the id after which a lost stream resumes
            if not self._read():
                return
        self._next_block()

    def close(self) -> None:
        """Close the connection. A second call does nothing."""
        answer, self._answer = self._answer, None
        if answer is not None:
            answer.close()

    def next(self, timeout_s: float | None = None) -> Event | None:
        """Return the next event, or None if there is none within `timeout_s`. Raises as `open`, but not for outages."""
        until = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            while b"\n\n" in self._rest:
                event = self._next_block()
                if event is not None and event.about is not About.DROPPED:
                    return event
            left_s = None if until is None else max(0.0, until - time.monotonic())
            if self._answer is None:
                if not self._open_again(left_s):
                    return None
                continue
            silent_s = max(0.0, self._heard_at + _SILENT_S - time.monotonic())
            if self._answer.ready(silent_s if left_s is None else min(left_s, silent_s)):
                if not self._read():
                    self.close()
            elif left_s is not None and left_s < silent_s:
                return None
            else:
                self.close()

    def _read(self) -> bool:
        """Take the next received block. Return False if the stream has ended for any reason."""
        try:
            block = next(self._blocks, b"")
        except LinkError:
            block = b""
        self._heard_at = time.monotonic()
        self._rest += block.replace(b"\r", b"")
        return bool(block)

    def _open_again(self, left_s: float | None) -> bool:
        """Connect again after an end. Return False if there is no time left for it."""
        pause_s = 0.0
        if time.monotonic() - self._opened_at < _SHORT_S:
            pause_s = next(self._pauses)
        else:
            self._pauses = _RETRY.pauses()
        if left_s is not None and pause_s > left_s:
            time.sleep(left_s)
            return False
        time.sleep(pause_s)
        try:
            self.open(patience_s=0.0)
        except Unreachable as err:
            self._opened_at = time.monotonic()
            if self._on_outage is not None:
                self._on_outage(err)
        return True

    def _next_block(self) -> Event | None:
        """Return the first received block as an event, or None if it is not an event."""
        block, _, self._rest = self._rest.partition(b"\n\n")
        name, data = "", list[bytes]()
        for line in block.split(b"\n"):
            field, _, value = line.partition(b":")
            value = value.removeprefix(b" ")
            if field == b"id":
                self.id = value.decode("latin-1")
            elif field == b"event":
                name = value.decode("latin-1")
            elif field == b"data":
                data.append(value)
        if not data or name not in set(About):  # a newer gateway may send other events
            return None
        return msgspec.structs.replace(decoded(b"\n".join(data), Event), id=self.id)
