"""Keeps what programs print on nodes while they run, in the form in which a worker of this board does.

So the readers of output, over HTTP and in events, find the output of a node's program as that of any other. When the
job has ended, its result has the output, and the files here are removed.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from edge.core import trees
from edge.results.stream import Stream

log = logging.getLogger(__name__)

#: Largest number of bytes that a node sends at once.
PIECE_BYTES = 256 << 10
#: Shortest time between two pieces of a job, while somebody reads its output and while nobody does.
READ_S, UNREAD_S = 1.0, 10.0
#: Largest number of jobs whose output is kept. Each may take 1 MiB of memory.
MOST_JOBS = 16


@dataclass
class _Running:
    """The output of one attempt on a node."""

    attempt: str
    folder: Path
    streams: dict[str, Stream] = field(default_factory=dict)


class NodeOutput:
    """Writes the output of nodes to `run/node-output/NODE/ID/STREAM/OFFSET`. Belongs to the event loop.

    The folder is in memory, so the files are written on the loop.
    """

    def __init__(self, root: Path) -> None:
        """Take the folder (`Layout.node_output`)."""
        self._root = root
        self._running: dict[tuple[str, str], _Running] = {}  # by node and job; the one with the newest piece is last
        self._followed: Counter[str] = Counter()  # number of readers by job; "" are readers of all jobs

    def start(self) -> None:
        """Remove the output of an earlier gateway. The nodes do not send it again."""
        try:
            self._root.mkdir(mode=0o750, parents=True, exist_ok=True)
            for folder in self._root.iterdir():
                trees.remove(folder)
        except OSError as err:
            log.warning("the output of programs on nodes cannot be shown while they run: %s", err)

    def take(self, node: str, job_id: str, data: bytes, *, attempt: str, stream: str, offset: int) -> float:
        """Keep a piece of the output of a running job. Return the seconds until the node may send the next one.

        Args:
            node: the name of the node.
            job_id: the job.
            data: the bytes that were printed.
            attempt: identifies the attempt; the output of another attempt of the job is removed.
            stream: `stdout` or `stderr`.
            offset: the offset of the first byte. Bytes that are missing before it count as cut.
        """
        running = self._running.pop((node, job_id), None)
        if running is not None and running.attempt != attempt:
            _remove(running)
            running = None
        running = running or _Running(attempt, self._root / node / job_id)
        self._running[node, job_id] = running
        while len(self._running) > MOST_JOBS:
            _remove(self._running.pop(next(iter(self._running))))
        kept = running.streams.setdefault(stream, Stream(running.folder / stream))
        kept.skip_to(offset)
        kept.feed(data[kept.size_bytes - offset :])
        return READ_S if self._followed[job_id] or self._followed[""] else UNREAD_S

    def drop(self, job_id: str) -> None:
        """Remove the output of a job whose attempt has ended."""
        for key in [key for key in self._running if key[1] == job_id]:
            _remove(self._running.pop(key))

    @contextmanager
    def followed(self, job_id: str = "") -> Iterator[None]:
        """Let nodes send the output of this job, or of all jobs, more often inside the block."""
        self._followed[job_id] += 1
        try:
            yield
        finally:
            self._followed[job_id] -= 1
            if not self._followed[job_id]:
                del self._followed[job_id]


def _remove(running: _Running) -> None:
    for stream in running.streams.values():
        stream.close()
    trees.remove(running.folder)
