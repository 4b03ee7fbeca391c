"""What the gateway does for the routes of schedules. Knows nothing of HTTP."""

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

#: Times and slots that one schedule is shown with.
NEXT, SLOTS = 5, 20
#: Schedules of one board at most: each is a row and a record of its slots.
MOST_SCHEDULES = 100_000
_NO_CLOCK = "the board does not know the time yet: slots wait until its clock can be trusted"

#: Raises where a kind of job is unknown or does not take these arguments.
Check = Callable[[Schedule, Caller], None]
#: Returns the files of a submission with what the board knows of them; raises where one is not there.
Fill = Callable[[Mapping[str, InputFile]], dict[str, InputFile]]


class Schedules:
    """The schedules of one board. All methods run on the gateway's loop, unless they say otherwise."""

    def __init__(self, outbox: Outbox, keeper: Timekeeper, *, check: Check, fill: Fill) -> None:
        self._outbox, self._keeper, self._check, self._fill = outbox, keeper, check, fill

    def counts(self) -> tuple[int, int]:
        """How many schedules are active, and how many are paused or never due."""
        return self._outbox.reader.schedules.counts()

    @property
    def decided(self) -> dict[Fate, int]:
        """Slots since the start of the gateway."""
        return self._keeper.decided

    @property
    def waiting(self) -> str:
        """Why no slot is decided now; empty: slots are decided."""
        return "" if self._keeper.knows_time or not sum(self.counts()) else _NO_CLOCK

    def checked(self, name: str, asked: Schedule, caller: Caller) -> ScheduleRow:
        """Return the row of a schedule that somebody asks for. May be called in a thread.

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
        """Store a checked schedule; returns it, and whether it is new. Raises Forbidden, StorageError."""
        before = self._outbox.reader.schedules.find(row.name)
        if before is not None and not caller.may_end(before.submitter):
            raise Forbidden(f"schedule {row.name!r} is not one of token {caller.name!r}")
        if before is None and sum(self.counts()) >= MOST_SCHEDULES:
            raise BadSchedule(f"schedule {row.name!r}: there are {MOST_SCHEDULES} already, which is the most")
        return await self._keeper.put(row)

    def find(self, name: str, caller: Caller, *, change: bool = False) -> ScheduleRow:
        """The schedule of this name, which the caller may see, or `change`. Raises UnknownSchedule, Forbidden."""
        row = self._outbox.reader.schedules.find(name) if is_schedule_name(name) else None
        if row is None or not (caller.may_see(row.submitter) or caller.may_end(row.submitter)):
            raise UnknownSchedule(name)
        if change and not caller.may_end(row.submitter):
            raise Forbidden(f"schedule {name!r} is not one of token {caller.name!r}")
        return row

    async def drop(self, row: ScheduleRow) -> None:
        """Remove a schedule; its jobs stay. Raises StorageError."""
        await self._keeper.drop(row)

    async def pause(self, row: ScheduleRow, *, paused: bool) -> ScheduleRow:
        """Pause a schedule or let it go on. What is due meanwhile is skipped. Raises StorageError."""
        if row.asked.paused is paused:
            return row
        asked = msgspec.structs.replace(row.asked, paused=paused)
        stored, _ = await self._keeper.put(msgspec.structs.replace(row, asked=asked))
        return stored

    async def run_now(self, row: ScheduleRow, key: str) -> tuple[JobRow, bool]:
        """Make a job of a schedule now; returns it, and whether it is new. Raises StorageError, TooManyJobs."""
        answer = await self._keeper.run_now(row, key or fresh_key("00"))
        return answer.job, answer.created

    async def page(self, caller: Caller, *, after: str, limit: int) -> SchedulePage:
        """Return a page of the schedules that this caller may see, by name. Raises StorageError."""
        submitter = None if caller.sees_all else caller.name
        rows = await self._outbox.look(
            lambda ledger: ledger.schedules.page(after=after, submitter=submitter, limit=limit + 1)
        )
        views = tuple(self.view(row, full=False) for row in rows[:limit])
        return SchedulePage(views, next=rows[limit - 1].name if len(rows) > limit else None)

    def view(self, row: ScheduleRow, *, full: bool = True) -> ScheduleView:
        """Return everything about one schedule; without `full` one time, and no slots. Raises StorageError."""
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
            paused = skipped_while_paused(table.times, row.cursor, now)  # noted when the pause ends
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
