"""Checks, stores, lists and runs schedules for the routes. Knows no HTTP."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from datetime import datetime

import msgspec

from edge.core import rfc3339
from edge.core.errors import BadSchedule, UnknownSchedule, UsageError
from edge.core.text import duration
from edge.gateway.background.outbox import Outbox
from edge.gateway.background.timekeeper import Timekeeper, times_of
from edge.gateway.http.auth import Caller
from edge.gateway.http.problems import Forbidden
from edge.ledger.rows import JobRow
from edge.ledger.schedules import ScheduleRow, SlotRow
from edge.model import SCHEDULE_NAME_RULE, Fate, InputFile, Schedule, fresh_key, is_schedule_name
from edge.schedule.slots import skipped_while_paused
from edge.schedule.timetable import Timetable, rule
from edge.wire import SchedulePage, ScheduleView, SlotView

#: How many next times and how many last slots the answer for one schedule has.
NEXT, SLOTS = 5, 20
#: Largest number of schedules of one board. Each needs a row, and a record of its slots.
MOST_SCHEDULES = 100_000
_NO_CLOCK = "the board does not know the time yet: slots wait until its clock can be trusted"

#: Raises an error if the kind of job is unknown or does not take these arguments.
Check = Callable[[Schedule, Caller], None]
#: Returns the files of a submission with name and size filled in. Raises an error if a file is not stored here.
Fill = Callable[[Mapping[str, InputFile]], dict[str, InputFile]]


class Schedules:
    """Holds the schedules of one board. All methods run on the gateway's loop, unless they say otherwise."""

    def __init__(self, outbox: Outbox, keeper: Timekeeper, *, check: Check, fill: Fill) -> None:
        self._outbox, self._keeper, self._check, self._fill = outbox, keeper, check, fill

    def counts(self) -> tuple[int, int]:
        """Return how many schedules are active, and how many are paused or never due."""
        return self._outbox.reader.schedules.counts()

    @property
    def decided(self) -> dict[Fate, int]:
        """Return how many slots have been decided since the start of the gateway, by fate."""
        return self._keeper.decided

    @property
    def waiting(self) -> str:
        """Return why no slot is decided now, or an empty text if slots are decided or there is no schedule."""
        return "" if self._keeper.knows_time or not sum(self.counts()) else _NO_CLOCK

    def checked(self, name: str, asked: Schedule, caller: Caller) -> ScheduleRow:
        """Check a schedule that a client sent, and return its row. May be called in a thread.

        Raises:
            BadSchedule: its name, times or zone cannot be read.
            UnknownTask, BadArguments, UnknownInput, Forbidden, Busy: as for a job.
        """
        if not is_schedule_name(name):
            raise BadSchedule(f"schedule {name[:80]!r}: {SCHEDULE_NAME_RULE}")
        try:
            table = Timetable(asked)
        except UsageError as err:
            raise BadSchedule(str(err)) from err
        if asked.files:
            asked = msgspec.structs.replace(asked, files=self._fill(asked.files))
        self._check(asked, caller)
        uid = secrets.token_hex(8)
        return ScheduleRow(name, uid, asked, caller.name, table.zone.key, None, None, time.time())

    async def put(self, row: ScheduleRow, caller: Caller) -> tuple[ScheduleRow, bool]:
        """Store a checked schedule. Return it, and whether it is new.

        Raises:
            Forbidden: the schedule of this name belongs to another token.
            BadSchedule: there are too many schedules.
            StorageError: the ledger cannot be written.
        """
        before = self._outbox.reader.schedules.find(row.name)
        if before is not None and not caller.may_end(before.submitter):
            raise Forbidden(f"schedule {row.name!r} is not one of token {caller.name!r}")
        if before is None and sum(self.counts()) >= MOST_SCHEDULES:
            raise BadSchedule(f"schedule {row.name!r}: there are {MOST_SCHEDULES} already, which is the most")
        return await self._keeper.put(row)

    def find(self, name: str, caller: Caller, *, change: bool = False) -> ScheduleRow:
        """Return the schedule of this name.

        Args:
            name: name of the schedule.
            caller: the client. For schedules that it may not see, the answer is the same as for unknown ones.
            change: the client wants to change the schedule.

        Raises:
            UnknownSchedule: there is no such schedule, or the caller may not see it.
            Forbidden: the caller may not change the schedule.
        """
        row = self._outbox.reader.schedules.find(name) if is_schedule_name(name) else None
        if row is None or not (caller.may_see(row.submitter) or caller.may_end(row.submitter)):
            raise UnknownSchedule(name)
        if change and not caller.may_end(row.submitter):
            raise Forbidden(f"schedule {name!r} is not one of token {caller.name!r}")
        return row

    async def drop(self, row: ScheduleRow) -> None:
        """Remove a schedule. The jobs that it has made stay. Raises StorageError."""
        await self._keeper.drop(row)

    async def pause(self, row: ScheduleRow, *, paused: bool) -> ScheduleRow:
        """Pause or resume a schedule. Slots that become due during a pause are skipped. Raises StorageError."""
        if row.asked.paused is paused:
            return row
        asked = msgspec.structs.replace(row.asked, paused=paused)
        stored, _ = await self._keeper.put(msgspec.structs.replace(row, asked=asked))
        return stored

    async def run_now(self, row: ScheduleRow, key: str) -> tuple[JobRow, bool]:
        """Make a job of a schedule now. Return it, and whether it is new. Raises StorageError, TooManyJobs.

        `key` is the idempotency key of the request. With an empty one each call makes a new job.
        """
        answer = await self._keeper.run_now(row, key or fresh_key("00"))
        return answer.job, answer.created

    async def page(self, caller: Caller, *, after: str, limit: int) -> SchedulePage:
        """Return a page of the schedules that this caller may see, sorted by name. Raises StorageError."""
        submitter = None if caller.sees_all else caller.name
        rows = await self._outbox.look(
            lambda ledger: ledger.schedules.page(after=after, submitter=submitter, limit=limit + 1)
        )
        views = tuple(self.view(row, full=False) for row in rows[:limit])
        return SchedulePage(views, next=rows[limit - 1].name if len(rows) > limit else None)

    def view(self, row: ScheduleRow, *, full: bool = True) -> ScheduleView:
        """Return the answer record of a schedule. Raises StorageError.

        Without `full` it has only the next time, and no slots.
        """
        asked, table, now = row.asked, times_of(row), time.time()
        limits = rule(asked, uid=row.uid)
        ran = self._outbox.reader.schedules.ran_after(row.uid, row.cursor or 0) if full else frozenset[int]()
        after = now - limits.delay_s if row.cursor is None else max(row.cursor, 0)
        times = [] if asked.paused else [at for at in table.next(after, NEXT if full else 1) if at not in ran]
        written = tuple(rfc3339.text_of(at, table.zone) for at in times)
        fields = {name: getattr(asked, name) for name in Schedule.__struct_fields__ if name != "timezone"}
        return ScheduleView(
            name=row.name,
            sentence=_sentence(table, asked, times, now),
            timezone=table.zone.key,
            submitter=row.submitter,
            made_at=row.made_at,
            waiting="" if asked.paused or self._keeper.knows_time else _NO_CLOCK,
            next=written,
            slots=self._slots(row, table, now) if full else (),
            **fields,
        )

    def _slots(self, row: ScheduleRow, table: Timetable, now: float) -> tuple[SlotView, ...]:
        slots = self._outbox.reader.schedules.slots(row.uid, limit=SLOTS)
        if row.asked.paused and row.cursor is not None and self._keeper.knows_time:
            # The ledger gets this record only when the pause ends.
            paused = skipped_while_paused(table.times, row.cursor, now)
            if paused is not None:
                slots.insert(0, SlotRow(paused.first, paused.last, paused.count, paused.fate, paused.reason))
        return tuple(_slot_view(slot, table) for slot in slots[:SLOTS])


def _slot_view(slot: SlotRow, table: Timetable) -> SlotView:
    return SlotView(
        slot=rfc3339.text_of(slot.first, table.zone),
        fate=slot.fate,
        until=rfc3339.text_of(slot.last, table.zone) if slot.last != slot.first else "",
        count=slot.count,
        job=slot.job,
        reason=slot.reason,
        decided_at=slot.decided_at,
    )


def _sentence(table: Timetable, asked: Schedule, times: list[int], now: float) -> str:
    what = f"{table.meaning} ({table.zone.key})"
    if asked.paused:
        return f"{what}; paused"
    if not times:
        return f"{what}; next: never"
    at = datetime.fromtimestamp(times[0], table.zone)
    return f"{what}; next: {at:%a %Y-%m-%d %H:%M}, in {duration(times[0] - now)}"
