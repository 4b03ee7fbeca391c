"""Reads the output of a job's program from any byte on, and opens lost connections again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from edge.client.connection import LinkError
from edge.client.transport import Transport, path_of
from edge.core.backoff import Backoff
from edge.core.errors import Unreachable
from edge.wire import JobView

#: The gateway ends an answer after `gateway.max_wait_s`, 3600 s at most; this is a little more.
_SILENT_S = 3700.0
_RETRY = Backoff(first_s=0.2, most_s=5.0)


def output(
    http: Transport, job_id: str, *, stream: str, offset: int, follow: bool, on_missing: Callable[[int], None]
) -> Iterator[bytes]:
    """Yield the bytes of a stream. With `follow` a lost connection is opened again. Raises as `Transport.send` does.

    Args:
        http: the gateway.
        job_id: the job.
        stream: `stdout` or `stderr`.
        offset: the first byte wanted.
        follow: continue until the job has ended.
        on_missing: called with the number of bytes that the board has not kept.
    """
    pauses = _RETRY.pauses()
    while True:
        final = not follow or http.json("GET", path_of("jobs", job_id), JobView).state.final
        before, next_offset = offset, None
        try:
            query = {"stream": stream, "offset": offset, "follow": None if final else "true"}
            answer = http.send("GET", path_of("jobs", job_id, "output"), query=query, longer_s=_SILENT_S, stream=True)
            first = int(answer.headers.get("edge-offset", offset))
            if first > offset:
                on_missing(first - offset)
                offset = first
            next_offset = answer.headers.get("edge-next")
            for chunk in answer.stream():
                offset += len(chunk)
                yield chunk
        except (LinkError, Unreachable):
            if not follow:
                raise
        if final and next_offset is not None:
            on_missing(int(next_offset) - offset)
            offset = int(next_offset)
        elif final:
            return
        if offset > before:
            pauses = _RETRY.pauses()
        else:
            time.sleep(next(pauses))
