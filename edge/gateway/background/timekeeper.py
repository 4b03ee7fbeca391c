"""Makes the jobs of schedules when they are due: one timer for all of them, however many they are."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from edge.core.clock import ClockSet, SteadyClock, trusted_now
from edge.core.errors import EdgeError, StorageError
from edge.gateway.background.journal import Journal
from edge.gateway.background.outbox import Accept, Outbox
from edge.gateway.background.slots import FindKind, SlotWriter
from edge.ledger.rows import Accepted
from edge.ledger.schedules import ScheduleRow, SlotRow
from edge.ledger.writer import LedgerWriter
from edge.model import Fate
from edge.schedule.timetable import Timetable
from edge.schedule.zone import rules_edition
from edge.wire import ScheduleChange, ScheduleDeed

log = logging.getLogger(__name__)

#: Schedules in one commit: few enough that submitters behind it do not wait.
_AT_ONCE = 200
_COMMIT_S = 0.05  # for all of them together: after a long time without power each may have many slots
_AGAIN_S = 30.0
#: Between two looks while the time is not known and schedules wait. A step of the clock is noticed at once.
_LOOK_S = 60.0
#: A step of the clock ahead that is longer is a time without a clock; a time server moves it by less.
_STEP_S = 60.0


class Timekeeper:
    """Runs on the gateway's loop. It wakes up when a slot is due, a schedule changes, or the clock is set.

    While the time is not known and schedules wait for it, it also looks once a minute.
    """

    def __init__(
        self,
        outbox: Outbox,
        journal: Journal,
        *,
        kind: FindKind,
        trusted: Callable[[], float | None] = trusted_now,
        steady: SteadyClock | None = None,
    ) -> None:
        self._outbox, self._journal, self._kind, self._trusted = outbox, journal, kind, trusted
        self._steady = steady or SteadyClock()
        self._wake = asyncio.Event()
        self._since: float | None = None  # since when the time is kept without a break; None: it is not known
        self._looked = False
        self._made_at: dict[str, float] = {}  # monotonic time at which a schedule was made without a clock
        self.decided = dict.fromkeys(Fate, 0)  # slots since the start

    @property
    def knows_time(self) -> bool:
        """True while slots are decided; False: they wait until the clock can be trusted."""
        return self._since is not None or not self._looked

    async def run(self) -> None:
        """Decide slots when they are due, until this is cancelled."""
        loop = asyncio.get_running_loop()
        clock_set: ClockSet | None = None
        with suppress(OSError):  # then a new time is noticed at the next slot
            clock_set = ClockSet()
            loop.add_reader(clock_set, self._on_clock_set, clock_set)
        try:
            await self._follow_rules()
            while True:
                self._wake.clear()
                left_s = await self._look()
                with suppress(TimeoutError):
                    async with asyncio.timeout(left_s):
                        await self._wake.wait()
        finally:
            if clock_set is not None:
                loop.remove_reader(clock_set)
                clock_set.close()

    def _on_clock_set(self, clock_set: ClockSet) -> None:
        clock_set.hush()
        self.clock_was_set()

    def clock_was_set(self) -> None:
        """Look at once: the wall clock shows another time."""
        self._wake.set()

    async def _look(self) -> float | None:
        """Decide what is due; return in how many seconds to look again, None: when something happens."""
        try:
            return await self._decide()
        except StorageError as err:
            log.error("slots of schedules cannot be decided: %s; trying again in %g s", err, _AGAIN_S)
        except Exception:  # a fault over one schedule must not end all others
            log.exception("slots of schedules cannot be decided; trying again in %g s", _AGAIN_S)
        return _AGAIN_S

    async def _decide(self) -> float | None:
        reader = self._outbox.reader.schedules
        step_s, known_before = self._steady.follow(), self._since is not None
        now = self._trusted()
        self._looked = True
        if now is None:
            self._since = None
            return _LOOK_S if reader.next_due() is not None or reader.timeless() else None
        if self._since is None or self._since > now or step_s > _STEP_S:
            self._since = now
        if not known_before or step_s < 0:
            await self._set_cursors(now)
        since = self._since
        while True:
            now = self._trusted() or now
            names = [row.name for row in reader.due(now, limit=_AT_ONCE)]
            if not names:
                break
            await self._fire(names, since=since, now=now)
        next_at = reader.next_due()
        return None if next_at is None else max(0.0, next_at - time.time())

    async def _set_cursors(self, now: float) -> None:
        """Let schedules made without a clock begin now, and move cursors back to now where the clock went back."""
        reader = self._outbox.reader.schedules
        timeless, ahead = reader.timeless(), reader.ahead(now)
        if not timeless and not ahead:
            return

        def work(ledger: LedgerWriter, accept: Accept) -> None:
            writer = SlotWriter(ledger.schedules, accept, kind=self._kind, now=now)
            for row in timeless:
                made_at = self._made_at.pop(row.name, None)
                writer.begin(row, cursor=int(now if made_at is None else now - (time.monotonic() - made_at)))
            for row in ahead:
                writer.rewind(row)

        await self._outbox.make(work)
        if ahead:
            log.warning("the clock went back: slots of %d schedules that have not run get a new decision", len(ahead))

    async def _fire(self, names: Sequence[str], *, since: float, now: float) -> None:
        def work(ledger: LedgerWriter, accept: Accept) -> list[tuple[ScheduleRow, list[SlotRow]]]:
            writer = SlotWriter(ledger.schedules, accept, kind=self._kind, now=now)
            found, until = list[tuple[ScheduleRow, list[SlotRow]]](), time.monotonic() + _COMMIT_S
            for name in names:
                if found and time.monotonic() > until:  # the next commit decides the others
                    break
                row = ledger.schedules.reader.find(name)
                if row is not None and row.due_at is not None and row.due_at <= now:
                    found.append((row, writer.decide(row, since=since)))
            return found

        for row, slots in await self._outbox.make(work):
            self._report(row, slots)

    def _report(self, row: ScheduleRow, slots: Sequence[SlotRow]) -> None:
        for slot in slots:
            self.decided[slot.fate] += slot.count
            if self._journal.on:
                self._journal.schedule(
                    ScheduleChange(
                        row.name,
                        ScheduleDeed(slot.fate.value),
                        submitter=row.submitter,
                        slot=slot.last,
                        count=slot.count,
                        job=slot.job,
                        reason=slot.reason,
                    )
                )

    async def _follow_rules(self) -> None:
        """Find the next times anew where the rules of the zones have changed since they were found."""
        edition = rules_edition()
        reader = self._outbox.reader.schedules
        try:
            if reader.rules() == edition:
                return

            def work(ledger: LedgerWriter, accept: Accept) -> None:
                writer = SlotWriter(ledger.schedules, accept, kind=self._kind, now=time.time())
                for row in ledger.schedules.reader.waiting():
                    if row.cursor is not None and row.asked.cron is not None:
                        writer.begin(row, cursor=row.cursor)
                ledger.schedules.set_rules(edition)

            if reader.next_due() is not None:
                await self._outbox.make(work)
        except EdgeError as err:
            log.error("the next times of schedules cannot be found anew: %s", err)

    # ---- changes that people make ----

    async def put(self, row: ScheduleRow) -> tuple[ScheduleRow, bool]:
        """Store a schedule durably; return it as it is then, and whether it is a new one. Raises StorageError."""
        now, since = self._trusted(), self._since
        if now is not None and since is None:
            since = now

        def work(ledger: LedgerWriter, accept: Accept) -> tuple[ScheduleRow, bool]:
            writer = SlotWriter(ledger.schedules, accept, kind=self._kind, now=now or time.time())
            before = ledger.schedules.reader.find(row.name)
            new = row if before is None else _same(row, before)
            edition = rules_edition()
            if ledger.schedules.reader.rules() != edition and ledger.schedules.reader.next_due() is None:
                ledger.schedules.set_rules(edition)
            return writer.put(new, before, since=since if now is not None else None), before is None

        stored, created = await self._outbox.make(work)
        if stored.cursor is None:
            self._made_at.setdefault(row.name, time.monotonic())
        self._wake.set()
        self._deed(stored, ScheduleDeed.MADE if created else ScheduleDeed.CHANGED)
        return stored, created

    async def drop(self, row: ScheduleRow) -> None:
        """Remove a schedule durably; its jobs stay. Raises StorageError."""
        await self._outbox.make(lambda ledger, _: ledger.schedules.drop(row))
        self._made_at.pop(row.name, None)
        self._wake.set()
        self._deed(row, ScheduleDeed.REMOVED)

    async def run_now(self, row: ScheduleRow, key: str) -> Accepted:
        """Make a job of a schedule now. Raises StorageError, TooManyJobs."""

        def work(ledger: LedgerWriter, accept: Accept) -> Accepted | EdgeError:
            return SlotWriter(ledger.schedules, accept, kind=self._kind, now=time.time()).by_hand(row, key)

        answer = await self._outbox.make(work)
        if isinstance(answer, EdgeError):
            raise answer
        return answer

    def _deed(self, row: ScheduleRow, deed: ScheduleDeed) -> None:
        if self._journal.on:
            self._journal.schedule(ScheduleChange(row.name, deed, submitter=row.submitter))


def _same(row: ScheduleRow, before: ScheduleRow) -> ScheduleRow:
    """`row` as another edition of `before`: the record of its slots goes on."""
    return ScheduleRow(
        row.name, before.uid, row.asked, before.submitter, row.timezone, before.cursor, before.due_at, before.made_at
    )


def times_of(row: ScheduleRow) -> Timetable:
    """The times of a schedule in the ledger."""
    return Timetable(row.asked, timezone=row.timezone)
