"""Changes as they happen: one stream of a gateway, over as many connections as it takes."""

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

#: The gateway says something each minute; a connection that is silent for so long is dead.
_SILENT_S = 150.0
_AGAIN = Backoff(first_s=0.2, most_s=5.0)
_SHORT_S = 1.0  # a stream that ended sooner is one more try, not news


class EventStream:
    """Events of one gateway, in order. A lost connection is made again and goes on behind the last event.

    Belongs to one thread. Outages after the first answer are waited out and told to `on_outage`.
    """

    def __init__(
        self,
        http: Transport,
        query: Mapping[str, object],
        *,
        after: str = "",
        on_outage: Callable[[EdgeError], None] | None = None,
    ) -> None:
        """`after` is the id of the last event that is known; without it the stream begins when it is opened."""
        self._http, self._query, self._on_outage = http, query, on_outage
        self.id = after  # resumes behind this event
        self._answer: Answer | None = None
        self._blocks: Iterator[bytes] = iter(())
        self._rest = b""
        self._opened_at = 0.0
        self._pauses = _AGAIN.pauses()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, err: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def open(self, *, patience_s: float | None = None) -> None:
        """Connect, within the patience of the settings or this one.

        Raises as `Transport.send`: NotAllowed, UsageError, GatewayError (404) where there are no events.
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
        while b"\n\n" not in self._rest:  # the place from which a lost stream goes on
            if not self._read():
                return
        self._next_block()

    def close(self) -> None:
        """Hang up; a second call does nothing."""
        answer, self._answer = self._answer, None
        if answer is not None:
            answer.close()

    def next(self, timeout_s: float | None = None) -> Event | None:
        """The next event; None when `timeout_s` are over before there is one. Raises as `open`, but not for outages."""
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
            elif left_s is not None and not self._answer.ready(left_s):
                return None
            elif not self._read():
                self.close()

    def _read(self) -> bool:
        """Take what came; False when the stream has ended, for whatever reason."""
        try:
            block = next(self._blocks, b"")
        except LinkError:
            block = b""
        self._rest += block.replace(b"\r", b"")
        return bool(block)

    def _open_again(self, left_s: float | None) -> bool:
        """Connect after an end; False when there is no time left for it."""
        pause_s = 0.0
        if time.monotonic() - self._opened_at < _SHORT_S:
            pause_s = next(self._pauses)
        else:
            self._pauses = _AGAIN.pauses()
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
        """The first block of what came, as an event; None when it is none."""
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
        if not data or name not in set(About):  # a newer gateway may tell of more
            return None
        return msgspec.structs.replace(decoded(b"\n".join(data), Event), id=self.id)
