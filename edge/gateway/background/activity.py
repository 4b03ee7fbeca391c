"""Counts the jobs that started, ended and waited in each quarter of an hour, for the plots.

The same files hold the energy that the jobs of each day took, for the statement of a month.

Jobs are counted when their results are recorded, so counting causes no extra wake-up. Changes are written to the disk
two hours after the first one, and at a clean stop. After a power cut up to two hours of the counts are missing. The
jobs themselves are never missing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from copy import deepcopy
from pathlib import Path

import msgspec

from edge.core import clock, durable, stored
from edge.model import DayReceipts, JobState, Result, Took
from edge.power.series import MOST_SLOTS, slot_of

#: The governor writes its history at the same rate, so both together make at most one small write an hour.
_WRITE_EVERY_S = 2 * 3600.0
_DAY_S = 86_400
_KEEP_DAYS = 32
_MOST_FILES = 40
_LARGEST_BYTES = 128 << 10
#: Largest number of pairs of kind and submitter in the receipts of one day. The jobs of all further pairs share
#: one line.
_MOST_PAIRS = 200
_OTHERS = "(others)"
_MOST_JOBS = 1 << 40  # a slot that counts more is damaged
#: Number of ended jobs that are remembered, because a worker may announce a result a second time.
_REMEMBERED = 1024


class JobSlot(msgspec.Struct, array_like=True):
    """The counts of a quarter of an hour: jobs that started, jobs that ended by outcome, and open jobs."""

    started: int = 0
    succeeded: int = 0
    failed: int = 0
    cancelled: int = 0
    backlog: int = -1  # the last count of open jobs in the slot; -1 means that none was taken
    most: int = -1  # the largest count of open jobs in the slot


class JobDay(msgspec.Struct):
    """The content of one file: the slots and receipts of one day in UTC."""

    slots: dict[int, JobSlot] = {}
    receipts: DayReceipts = {}  # by the local date on which the jobs ended


class Activity:
    """Keeps the counts of today in memory and writes a file for each day.

    Belongs to the event loop; only `slots` may be called in a thread.
    """

    def __init__(self, folder: Path, *, open_jobs: Callable[[], int], keep: int = _MOST_FILES) -> None:
        """Start without counts in memory; files of earlier days are read when needed.

        Args:
            folder: where the files are.
            open_jobs: returns the number of open jobs.
            keep: the number of files that are kept, if it is more than the month that the plots need.
        """
        self._folder, self.open_jobs, self._keep = folder, open_jobs, max(keep, _MOST_FILES)
        self._days: dict[int, JobDay] = {}
        self._changed: set[int] = set()
        self._ended: dict[str, None] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._write: asyncio.Task[None] | None = None

    def accepted(self) -> None:
        """Note the number of open jobs, because jobs were accepted."""
        now = time.time()
        if clock.plausible(now):
            self._backlog(now)
            self._set_timer()

    def ended(self, results: Iterable[Result]) -> None:
        """Count these results, each job once."""
        for result in results:
            if result.id in self._ended:
                continue
            self._ended[result.id] = None
            if len(self._ended) > _REMEMBERED:
                del self._ended[next(iter(self._ended))]
            self._count(result)
        now = time.time()
        if clock.plausible(now):
            self._backlog(now)
        self._set_timer()

    def slots(self, *, first: float, last: float) -> dict[int, JobSlot]:
        """Return the slots that begin between two times, in epoch seconds. Call it in a thread: it reads files."""
        found: dict[int, JobSlot] = {}
        for number in range(int(first // _DAY_S), int(last // _DAY_S) + 1):
            day = self._days.get(number) or _read(self._path(number))
            found |= {at: slot for at, slot in list(day.slots.items()) if first <= at <= last}
        return dict(sorted(found.items()))

    def newest(self) -> dict[str, DayReceipts]:
        """Return the receipts of the days in memory, by the name of their file without the suffix."""
        return {self._path(number).stem: deepcopy(day.receipts) for number, day in self._days.items()}

    async def stop(self) -> None:
        """Write the changes that are not on the disk yet."""
        if self._timer is not None:
            self._timer.cancel()
        await asyncio.gather(*([self._write] if self._write is not None else []), return_exceptions=True)
        await asyncio.to_thread(self._flush, self._take_changed())

    # ---- inside ----

    def _count(self, result: Result) -> None:
        if result.started_at is not None and (slot := self._slot(result.started_at)) is not None:
            slot.started += 1
        if (slot := self._slot(result.finished_at)) is not None:
            slot.succeeded += result.state is JobState.SUCCEEDED
            slot.failed += result.state is JobState.FAILED
            slot.cancelled += result.state is JobState.CANCELLED
            self._book(result)

    def _book(self, result: Result) -> None:
        """Add the energy of a job to the sums of its day, of which a slot must exist."""
        if result.energy is None:
            return
        kinds = self._days[int(result.finished_at // _DAY_S)].receipts.setdefault(
            time.strftime("%Y-%m-%d", time.localtime(result.finished_at)), {}
        )
        kind, submitter = result.task, result.submitter
        if submitter not in kinds.get(kind, {}) and sum(map(len, kinds.values())) >= _MOST_PAIRS:
            kind, submitter = _OTHERS, _OTHERS
        kinds.setdefault(kind, {}).setdefault(submitter, Took()).add(result.energy)

    def _backlog(self, now: float) -> None:
        slot = self._slot(now)
        if slot is not None:
            slot.backlog = self.open_jobs()
            slot.most = max(slot.most, slot.backlog)

    def _slot(self, at: float) -> JobSlot | None:
        """Return the slot of a time for a change, or None if a wrong clock gave the time or the day is full."""
        if not clock.plausible(at) or abs(at - time.time()) > _KEEP_DAYS * _DAY_S:
            return None
        number = int(at // _DAY_S)
        day = self._days.get(number)
        if day is None:
            day = self._days[number] = _read(self._path(number))
        start = slot_of(at)
        if start not in day.slots and len(day.slots) >= MOST_SLOTS:
            return None
        self._changed.add(number)
        return day.slots.setdefault(start, JobSlot())

    def _set_timer(self) -> None:
        """Set the one timer if there is something to write."""
        if self._timer is None and self._changed:
            self._timer = asyncio.get_running_loop().call_later(_WRITE_EVERY_S, self._start_write)

    def _start_write(self) -> None:
        self._timer = None
        self._write = asyncio.get_running_loop().create_task(asyncio.to_thread(self._flush, self._take_changed()))

    def _take_changed(self) -> dict[int, bytes]:
        """Return the content of the files to write, by day. Only today stays in memory."""
        files = {number: msgspec.json.encode(self._days[number]) for number in self._changed}
        today = int(time.time() // _DAY_S)
        self._days = {number: day for number, day in self._days.items() if number == today}
        self._changed = set()
        return files

    def _flush(self, files: dict[int, bytes]) -> None:
        try:
            for number, content in files.items():
                durable.make_folder(self._folder)
                durable.replace(self._path(number), content)
            if files:
                newest = int(time.time() // _DAY_S)
                kept = sorted(self._folder.glob("????-??-??.json"), key=lambda path: abs(_number(path) - newest))
                for far in kept[self._keep :]:
                    far.unlink(missing_ok=True)
        except OSError:
            return  # The plot gets a gap. The parts that must write, such as the ledger, report the fault of the disk.

    def _path(self, number: int) -> Path:
        return self._folder / f"{time.strftime('%Y-%m-%d', time.gmtime(number * _DAY_S))}.json"


def _number(path: Path) -> int:
    try:
        return int(time.mktime(time.strptime(path.stem, "%Y-%m-%d")) // _DAY_S)
    except (ValueError, OverflowError):
        return -(1 << 40)


def _read(path: Path) -> JobDay:
    """Return the sound content of a file, or an empty day if the file is missing, damaged or too large."""
    try:
        if path.stat().st_size > _LARGEST_BYTES:
            return JobDay()
        day = stored.read(path, JobDay)
    except (OSError, stored.BadContent):
        return JobDay()
    sound = {at: slot for at, slot in day.slots.items() if _sound(at, slot)}
    return JobDay(dict(sorted(sound.items())[:MOST_SLOTS]), day.receipts)


def _sound(at: int, slot: JobSlot) -> bool:
    counts = (slot.started, slot.succeeded, slot.failed, slot.cancelled)
    most = max(*counts, slot.backlog, slot.most)
    return slot_of(at) == at and min(counts) >= 0 and min(slot.backlog, slot.most) >= -1 and most < _MOST_JOBS
