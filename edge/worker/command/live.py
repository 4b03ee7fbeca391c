"""Sends what programs print on a node to the head, while they run.

Only a program that prints causes a request, at most one a second for each stream. The head answers how long the node
must wait before the next one: longer if nobody reads. Output is lost on the way if the program prints more than fits
into a request, or the head cannot be reached; readers see a cut. The whole output follows with the result.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from edge.core.errors import EdgeError
from edge.results.output import STREAMS, OutputFiles

logger = logging.getLogger(__name__)

#: A program that ends sooner than this after its first output sends nothing.
FIRST_S = 1.0
#: Pause after the head could not be reached.
AGAIN_S = 30.0
#: Largest number of bytes of a request; the head takes no more.
PIECE_BYTES = 256 << 10
#: A job with a reader waits this long at its end for its last output to be sent.
LAST_S = 2.0


class Send(Protocol):
    """Sends a piece of output to the head."""

    def __call__(self, job_id: str, data: bytes, *, attempt: str, stream: str, offset: int) -> float:
        """Return the seconds until the next piece may be sent. Raises OSError, or EdgeError if the head refuses."""


@dataclass
class _Sent:
    """How far the output of one attempt is sent. All fields are guarded by the lock of `LiveOutput`."""

    attempt: str
    next_at: float
    offsets: dict[str, int] = field(default_factory=lambda: dict.fromkeys(STREAMS, 0))
    printed: bool = True  # there may be output that is not sent
    read: bool = False  # somebody reads it at the head
    refused: bool = False
    ends: bool = False


class LiveOutput:
    """Sends the output of the running programs of a worker, in its own thread. Any thread may call its methods."""

    def __init__(self, root: Path, send: Send, *, clock: Callable[[], float] = time.monotonic) -> None:
        """`root` is `Layout.output`, from which the output is read. The thread starts at the first output.

        `send` is called in that thread, and `clock` returns monotonic seconds.
        """
        self._root, self._send, self._clock = root, send, clock
        self._changed = threading.Condition()
        self._jobs: dict[str, _Sent] = {}
        self._thread: threading.Thread | None = None

    def printed(self, job_id: str, attempt: str) -> None:
        """Note that the program of a job has printed something."""
        with self._changed:
            sent = self._jobs.get(job_id)
            if sent is None or sent.attempt != attempt:
                self._jobs[job_id] = _Sent(attempt, self._clock() + FIRST_S)
            elif sent.printed:
                return
            else:
                sent.printed = True
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="live-output", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def ended(self, job_id: str) -> None:
        """Note that the program has ended. If somebody reads its output, wait a little until all of it is sent."""
        with self._changed:
            sent = self._jobs.get(job_id)
            if sent is not None and sent.read and sent.printed:
                sent.ends, sent.next_at = True, self._clock()
                self._changed.notify_all()
                self._changed.wait_for(lambda: not sent.printed or sent.refused, LAST_S)
            self._jobs.pop(job_id, None)

    def _run(self) -> None:
        while True:
            with self._changed:
                job_id, sent = self._next()
                sent.printed = False
            self._send_all(job_id, sent)

    def _next(self) -> tuple[str, _Sent]:
        """Wait for a job that has printed something and may send it."""
        while True:
            wanting = [
                (each.next_at, job_id) for job_id, each in self._jobs.items() if each.printed and not each.refused
            ]
            if not wanting:
                self._changed.wait()
                continue
            next_at, job_id = min(wanting)
            if (left_s := next_at - self._clock()) <= 0:
                return job_id, self._jobs[job_id]
            self._changed.wait(left_s)

    def _send_all(self, job_id: str, sent: _Sent) -> None:
        """Send one piece of each stream. Further output stays for the next time."""
        pause_s, read, more, refused = FIRST_S, sent.read, False, False
        files = OutputFiles(self._root, job_id)
        try:
            for stream in STREAMS:
                found = files.read(stream, sent.offsets[stream])
                if found is None:
                    continue
                data = found.data[:PIECE_BYTES]
                pause_s = self._send(job_id, data, attempt=sent.attempt, stream=stream, offset=found.offset)
                read = pause_s <= FIRST_S
                sent.offsets[stream] = found.offset + len(data)
                more = more or len(data) < len(found.data) or found.next is not None
        except OSError as err:
            logger.debug("the output of job %s cannot be sent to the head: %s", job_id, err)
            pause_s, read, more = AGAIN_S, False, True
        except EdgeError as err:  # the job has ended there, or the head is older and does not take output
            logger.debug("the head does not take the output of job %s: %s", job_id, err)
            refused = True
        with self._changed:
            sent.read, sent.refused = read, refused
            sent.printed = sent.printed or more
            sent.next_at = self._clock() + (0.0 if sent.ends and read else pause_s)
            self._changed.notify_all()
