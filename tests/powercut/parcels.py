"""Files that submitters upload in pieces across cuts, and the board's promises about each.

- A part whose receipt was confirmed is safe: the upload continues there or further.
- A file that was confirmed as stored is on the disk after the cut, with its hash.
- A file whose name is a hash never has other content.
- A job that was accepted with a file still has it.
"""

from __future__ import annotations

import http.client
import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256

import msgspec

from edge.core.layout import Layout
from edge.results.incoming import Progress
from edge.results.inputs import Inputs
from edge.wire import FileView
from tests.powercut import jobs as kinds
from tests.powercut.client import Http

#: Sizes of the files, in bytes.
SIZES = (1, 4096, 200_000, 1_500_000, 4_000_000)
#: Sizes of the pieces, in bytes: less than a page, some pages and a bit, more than a connection's buffer.
_PIECES = (700, 70_001, 300_000)


@dataclass(eq=False)
class Parcel:
    """One file; `safe` lists the offsets that the board confirmed, each with its monotonic time."""

    number: int
    size: int
    digest: str
    safe: list[tuple[float, int]] = field(default_factory=list)
    stored_at: float | None = None
    handed_in: bool = False
    resumed: int = 0  # how often an upload continued after a cut, at a byte other than 0
    cut: bool = False  # a cut came when a part had arrived

    @property
    def content(self) -> bytes:
        """The content of the file."""
        return kinds.file_content(self.number, self.size)

    @property
    def received(self) -> int:
        """The furthest offset that the board confirmed."""
        return max((offset for _, offset in self.safe), default=0)


class Parcels:
    """All files of a campaign. Its methods may be called from any thread."""

    def __init__(self, sizes: Sequence[int] = SIZES) -> None:
        self._sizes = sizes
        self._parcels: list[Parcel] = []
        self._taken: set[int] = set()
        self._lock = threading.Lock()

    def take(self, rng: random.Random) -> Parcel:
        """Return an unfinished upload in most cases, else a new file; only the caller has it until `give_back`."""
        with self._lock:
            open_ones = [parcel for parcel in self._parcels if not parcel.handed_in]
            left = [parcel for parcel in open_ones if parcel.number not in self._taken]
            if left and rng.random() < 0.8:
                parcel = rng.choice(left)
            else:
                number, size = len(self._parcels), rng.choice(self._sizes)
                content = kinds.file_content(number, size)
                parcel = Parcel(number, size, sha256(content).hexdigest())
                self._parcels.append(parcel)
            self._taken.add(parcel.number)
            return parcel

    def give_back(self, parcel: Parcel) -> None:
        """Let others take this file again."""
        with self._lock:
            self._taken.discard(parcel.number)

    def power_cut(self, at: float) -> None:
        """Take back every answer that came after monotonic time `at`, when the power was cut."""
        with self._lock:
            self._taken.clear()
            for parcel in self._parcels:
                parcel.safe = [(when, offset) for when, offset in parcel.safe if when < at]
                parcel.cut = parcel.cut or bool(parcel.safe)
                if parcel.stored_at is not None and parcel.stored_at >= at:
                    parcel.stored_at = None

    def check_disk(self, layout: Layout, wanted: set[str]) -> list[str]:
        """Compare the disk after a cut with the promises, before any process runs, and return the faults.

        Args:
            layout: Where the board keeps its files.
            wanted: Hashes of the input files of accepted jobs that have no result.
        """
        inputs, faults = Inputs(layout.files), list[str]()
        stored = set(inputs.stored())
        for name in sorted(stored):
            if sha256(inputs.path(name).read_bytes()).hexdigest() != name:
                faults.append(f"file {name}: is torn, under its hash")
        with self._lock:
            parcels = list(self._parcels)
        for parcel in parcels:
            if parcel.stored_at is not None and parcel.digest not in stored:
                faults.append(f"file {parcel.number}: was answered as stored and is gone")
            elif parcel.digest in wanted - stored:
                faults.append(f"file {parcel.number}: a job was accepted with it and it is gone")
            elif parcel.stored_at is None and parcel.received and parcel.digest not in stored:
                found = _check_part(layout, parcel)
                parcel.safe = [] if found else parcel.safe  # report it once
                faults += found
            parcel.stored_at = None  # from here on the board may remove files that no job needs
            if parcel.digest in stored:
                parcel.safe = []  # if the board removes the file, its upload begins anew
        return faults

    def counts(self) -> tuple[int, int, int]:
        """Return the numbers of files begun, of files submitted with a job, and of uploads continued after a cut."""
        with self._lock:
            handed_in = sum(parcel.handed_in for parcel in self._parcels)
            return len(self._parcels), handed_in, sum(parcel.resumed for parcel in self._parcels)


def _check_part(layout: Layout, parcel: Parcel) -> list[str]:
    """Return the faults in the part of an unfinished upload that is on the disk."""
    folder = layout.files / ".incoming"
    records = list(folder.glob(f"{parcel.digest}.*.json"))
    if not records:
        return [f"file {parcel.number}: {parcel.received} of {parcel.size} bytes were answered and are gone"]
    progress = msgspec.json.decode(records[0].read_bytes(), type=Progress)
    content = records[0].with_suffix(".part").read_bytes()
    if progress.received < parcel.received:
        return [f"file {parcel.number}: {parcel.received} bytes were answered, {progress.received} are left"]
    if content[: progress.received] != parcel.content[: progress.received]:
        return [f"file {parcel.number}: its first {progress.received} bytes are torn"]
    return []


class Uploader:
    """Uploads files in pieces over connections that may break. Each thread of the load has its own."""

    def __init__(
        self, parcels: Parcels, rng: random.Random, *, note: Callable[[str], None], stopped: Callable[[], bool]
    ) -> None:
        self._parcels, self._rng, self._note, self._stopped = parcels, rng, note, stopped

    def upload(self, client: Http, parcel: Parcel) -> bool:
        """Send the part that the board does not have; return True once all is stored. Raises OSError, HTTPException."""
        first = True
        while not self._stopped():
            view = self._asked(client, parcel)
            if view is None:
                return False
            if view.received < parcel.received and not view.stored and parcel.stored_at is None:
                self._note(
                    f"file {parcel.number}: {parcel.received} bytes were answered, it goes on at {view.received}"
                )
                return False
            if first and parcel.cut and view.received and not view.stored:
                parcel.resumed += 1
            first = False
            if view.stored or self._piece(client, parcel, view.received):
                return True
        return False

    def _asked(self, client: Http, parcel: Parcel) -> FileView | None:
        """Ask where the upload continues; return None if the board takes no upload now."""
        span = {"Content-Range": f"bytes */{parcel.size}"}
        status, answer = client.ask("PUT", f"/v1/files/{parcel.digest}", b"", span)
        return self._answered(parcel, status, answer)

    def _piece(self, client: Http, parcel: Parcel, first: int) -> bool:
        """Send one piece, now and then only half of it; return True once all is stored."""
        last = min(parcel.size, first + self._rng.choice(_PIECES))
        body = parcel.content[first:last]
        path, span = f"/v1/files/{parcel.digest}", f"bytes {first}-{last - 1}/{parcel.size}"
        if len(body) > 1 and self._rng.random() < 0.15:
            client.break_off("PUT", path, body, {"Content-Range": span})
            return False
        status, answer = client.ask("PUT", path, body, {"Content-Range": span})
        view = self._answered(parcel, status, answer)
        return view is not None and view.stored

    def _answered(self, parcel: Parcel, status: int, answer: bytes) -> FileView | None:
        at = time.monotonic()
        if status in (200, 201, 202):
            view = msgspec.json.decode(answer, type=FileView)
            if view.stored:
                parcel.stored_at = parcel.stored_at or at
            else:
                parcel.safe.append((at, view.received))
            return view
        if status not in (409, 503) and status < 500:
            self._note(f"file {parcel.number}: a good part was refused with {status}: {answer[:200]!r}")
        return None


#: The errors that a lost connection raises.
LOST = (OSError, http.client.HTTPException)
