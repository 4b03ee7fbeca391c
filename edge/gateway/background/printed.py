"""Makes events of what the programs of jobs print, for one reader that asks for them with `about=output`.

Nothing is watched or kept for other readers. The kernel reports new output (inotify). The files are in `/run`, which is
memory, so they are read on the event loop.
"""

from __future__ import annotations

import asyncio
import codecs
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import chain
from pathlib import Path

import msgspec

from edge.core.errors import StorageError
from edge.core.watch import On, Watch
from edge.results.output import STREAMS
from edge.wire import About, Event, OutputChange

#: Largest number of bytes of text in one event.
TEXT_BYTES = 4096
#: Shortest time between two reads. Each read makes at most one event for each stream of a job.
EVERY_S = 0.25
_ON = On.CREATED | On.MODIFIED | On.MOVED_TO | On.DELETED
_encode = msgspec.json.Encoder().encode


class Printed:
    """Watches the output of running programs for one reader. Belongs to the event loop; the constructor starts it."""

    def __init__(
        self, root: Path, *, wanted: Callable[[str], bool], came: Callable[[], None], others: Sequence[Path] = ()
    ) -> None:
        """Make events of everything that is printed from now on.

        Args:
            root: the folder of the output of running programs (`Layout.output`).
            wanted: returns True if the reader wants this job and may see it. It may raise StorageError.
            came: called when `take` has events.
            others: further folders of the same form.

        Raises:
            OSError: the folder cannot be watched.
        """
        self._roots, self._wanted, self._came = (root, *others), wanted, came
        self._known: dict[str, bool] = {}
        self._places: dict[Path, int] = {}  # offset of the next byte of each stream, by its folder
        self._blocks: list[bytes] = []
        self._looked_at = float("-inf")
        self._timer: asyncio.TimerHandle | None = None
        for each in self._roots:
            with suppress(OSError):  # on an appliance the folder exists
                each.mkdir(mode=0o750, parents=True, exist_ok=True)
        self._watch = Watch(root, on=_ON)
        self._look(quietly=True)
        asyncio.get_running_loop().add_reader(self._watch, self._readable)

    def take(self) -> bytes:
        """Return the events since the last call, in the form of the stream."""
        content = b"".join(self._blocks)
        self._blocks.clear()
        return content

    def close(self) -> None:
        """Stop watching."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        else:
            asyncio.get_running_loop().remove_reader(self._watch)
        self._watch.close()

    def _readable(self) -> None:
        """Read at once after a pause, else `EVERY_S` after the last read.

        Until then the watch is off, so that a program that prints all the time does not wake the loop.
        """
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._watch)
        self._timer = loop.call_at(max(loop.time(), self._looked_at + EVERY_S), self._due)

    def _due(self) -> None:
        loop = asyncio.get_running_loop()
        self._looked_at = loop.time()
        if self._blocks:  # the reader has not taken the last ones yet
            self._timer = loop.call_later(EVERY_S, self._due)
            return
        self._timer = None
        self._look()
        loop.add_reader(self._watch, self._readable)
        if self._blocks:
            self._came()

    def _look(self, *, quietly: bool = False) -> None:
        """Read the new output of all jobs. With `quietly` make no events, and only note where each stream ends.

        Each folder is watched before it is read, so that the kernel reports later output.
        """
        for folder in self._watch.read().gone:  # a later attempt makes a folder of the same name
            self._places.pop(folder, None)
        for root in self._roots:
            self._add(root)
        there = set[str]()
        for worker in chain.from_iterable(map(_folders, self._roots)):
            self._add(worker)
            for job in _folders(worker):
                there.add(job.name)
                if job.name not in self._known:
                    try:
                        self._known[job.name] = self._wanted(job.name)
                    except StorageError:  # the next read asks again
                        continue
                if self._known[job.name]:
                    self._look_at(job, quietly=quietly)
        self._known = {name: wanted for name, wanted in self._known.items() if name in there}

    def _look_at(self, job: Path, *, quietly: bool) -> None:
        self._add(job)
        for stream in STREAMS:
            folder = job / stream
            if not self._add(folder):  # the program has printed nothing to this stream
                continue
            if quietly:
                self._places[folder] = _end(_parts(folder))
            else:
                self._places[folder] = self._tell(job.name, stream, folder, self._places.get(folder, 0))

    def _tell(self, job_id: str, stream: str, folder: Path, at: int) -> int:
        """Make an event of the output from the offset `at` on, and return the offset of the next byte.

        If the file with that offset was removed, the event begins at the oldest output that is left.
        """
        parts = _parts(folder)
        end = _end(parts)
        parts = [(begin, size) for begin, size in parts if begin + size > at]
        if not parts:
            return min(at, end)
        at = max(at, parts[0][0])
        data = _read(folder, parts, at)
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        text = decoder.decode(data)
        taken = len(data) - len(decoder.getstate()[0])  # an incomplete character waits for its other bytes
        if taken:
            change = OutputChange(job_id, stream, at, text, taken, end)
            event = Event(About.OUTPUT, time.time(), output=change)
            # The event has no id, so a reader cannot resume after it. The output of the job has what a reader missed.
            self._blocks.append(b"event: output\ndata: %b\n\n" % _encode(event))
        return at + taken if at + len(data) == end else end

    def _add(self, folder: Path) -> bool:
        """Watch a folder unless it is watched already. Return False if it cannot be watched or does not exist."""
        try:
            self._watch.add(folder, on=_ON)
        except OSError:
            return False
        return True


def _folders(folder: Path) -> Iterator[Path]:
    with suppress(OSError), os.scandir(folder) as entries:
        yield from [Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False)]


def _parts(folder: Path) -> list[tuple[int, int]]:
    """Return offset and size of each file of a stream, in order."""
    found = list[tuple[int, int]]()
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.isdecimal():
                with suppress(FileNotFoundError):
                    found.append((int(entry.name), entry.stat().st_size))
    return sorted(found)


def _end(parts: list[tuple[int, int]]) -> int:
    return parts[-1][0] + parts[-1][1] if parts else 0


def _read(folder: Path, parts: list[tuple[int, int]], at: int) -> bytes:
    """Return the bytes from the offset `at` on: at most TEXT_BYTES, up to a gap or a file that was just removed."""
    data = b""
    for begin, size in parts:
        place = at + len(data)
        left = min(TEXT_BYTES - len(data), begin + size - place)
        if not begin <= place or not left:
            break
        try:
            with (folder / f"{begin:015}").open("rb") as file:
                file.seek(place - begin)
                data += file.read(left)
        except OSError:
            break
    return data
