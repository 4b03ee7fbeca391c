"""Makes the jobs of schedules when they are due. One timer serves all schedules."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from edge.core.clock import ClockSet, SteadyClock, trusted_now
from edge.core.errors import EdgeError, StorageError, UsageError
from edge.gateway.background.journal import Journal
from edge.gateway.background.outbox import Accept, Outbox
from edge.gateway.background.slots import FindKind, SlotWriter
from edge.gateway.background.zone_rules import CALM_S, ZoneRules
from edge.ledger.rows import Accepted
from edge.ledger.schedules import ScheduleRow, SlotRow
from edge.ledger.writer import LedgerWriter
from edge.model import Fate
from edge.schedule.timetable import Timetable
from edge.wire import ScheduleChange, ScheduleDeed

log = logging.getLogger(__name__)

#: Largest number of schedules in one commit. It is small, because submitters wait for the commit.
_AT_ONCE = 200
_COMMIT_S = 0.05  # time limit of one commit: after a long time without power each schedule may have many slots
_AGAIN_S = 30.0
#: Time between two checks while the time is not known and schedules wait. A step of the clock is noticed at once.
_LOOK_S = 60.0
#: A longer step of the clock ahead means that the clock was wrong before. A time server corrects it by less.
_STEP_S = 60.0


class Timekeeper:
    """Decides the slots of all schedules when they are due. Belongs to the event loop.

    It wakes up when a slot is due, a schedule changes, the clock is set, or the time zones have new rules. While the
    time is not known and schedules wait for it, it also checks the clock once a minute.
    """

    def __init__(
        self,
        outbox: Outbox,
        journal: Journal,
        *,
        kind: FindKind,
        trusted: Callable[[], float | None] = trusted_now,
        steady: SteadyClock | None = None,
        calm_s: float = CALM_S,
    ) -> None:
        """Prepare; `run` decides the slots.

        Args:
            outbox: owns the ledger and publishes the jobs.
            journal: gets the changes of schedules as events.
            kind: returns the description of a kind of job, or None.
            trusted: returns the time in epoch seconds, or None if the clock cannot be trusted.
            steady: measures steps of the clock.
            calm_s: time without a change of the time zones after which their new rules are read.
        """
        self._outbox, self._journal, self._kind, self._trusted = outbox, journal, kind, trusted
        self._steady = steady or SteadyClock()
        self._wake = asyncio.Event()
        self._rules = ZoneRules(self._wake.set, calm_s=calm_s)
        self._version = ""  # of the rules behind the next times in the ledger, as far as it is known
        self._since: float | None = None  # time since which the clock is right without a break; None if unknown
        self._looked = False  # True after the first check of the clock
        self._made_at: dict[str, float] = {}  # monotonic time at which a schedule was made while the time was unknown
        self.decided = dict.fromkeys(Fate, 0)  # number of slots since the start, by fate

    @property
    def knows_time(self) -> bool:
        """True while slots are decided. While it is False, slots wait until the clock can be trusted."""
        return self._since is not None or not self._looked

    async def run(self) -> None:
        """Decide slots when they are due, until this is cancelled."""
        loop = asyncio.get_running_loop()
        clock_set: ClockSet | None = None
        with suppress(OSError):  # then a new time is noticed only when the next slot is due
            clock_set = ClockSet()
            loop.add_reader(clock_set, self._on_clock_set, clock_set)
        try:
            self._rules.start()
            while True:
                self._wake.clear()
                left_s = await self._look()
                with suppress(TimeoutError):
                    async with asyncio.timeout(left_s):
                        await self._wake.wait()
        finally:
            self._rules.close()
            if clock_set is not None:
                loop.remove_reader(clock_set)
                clock_set.close()

    def _on_clock_set(self, clock_set: ClockSet) -> None:
        clock_set.rearm()
        self.clock_was_set()

    def clock_was_set(self) -> None:
        """Check the schedules at once, because the wall clock was set."""
        self._wake.set()

    async def _look(self) -> float | None:
        """Decide the due slots. Return the seconds until the next check, or None to wait for an event."""
        try:
            await self._follow_rules()
            return await self._decide()
        except StorageError as err:
            log.error("slots of schedules cannot be decided: %s; trying again in %g s", err, _AGAIN_S)
        except Exception:  # an error with one schedule must not stop all others
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
        """Set the cursors of schedules that were made while the time was unknown, or that are ahead of the clock.

        The first ones begin at the time at which they were made, or now if an earlier gateway made them. The others are
        ahead because the clock was set back: their cursors move back to now.
        """
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
            log.warning("the clock was set back: slots of %d schedules that have not run are decided again", len(ahead))

    async def _fire(self, names: Sequence[str], *, since: float, now: float) -> None:
        def work(ledger: LedgerWriter, accept: Accept) -> list[tuple[ScheduleRow, list[SlotRow]]]:
            writer = SlotWriter(ledger.schedules, accept, kind=self._kind, now=now)
            found, until = list[tuple[ScheduleRow, list[SlotRow]]](), time.monotonic() + _COMMIT_S
            for name in names:
                if found and time.monotonic() > until:  # the next commit decides the remaining schedules
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
        """Compute the next times again if the rules of the time zones have changed since the last computation."""
        version = self._rules.current()
        if version == self._version:
            return
        reader = self._outbox.reader.schedules

        def work(ledger: LedgerWriter, accept: Accept) -> None:
            writer = SlotWriter(ledger.schedules, accept, kind=self._kind, now=time.time())
            for row in ledger.schedules.reader.waiting():
                if row.cursor is not None and row.asked.cron is not None:
                    try:
                        writer.begin(row, cursor=row.cursor)
                    except UsageError as err:  # such as a zone that the new rules do not have
                        log.error("the next time of schedule %s cannot be computed: %s", row.name, err)
            ledger.schedules.set_rules(version)

        if reader.rules() != version and reader.next_due() is not None:
            await self._outbox.make(work)
            log.info("the rules of the time zones are other ones: the next times of schedules were computed again")
        self._version = version

    # ---- changes by users ----

    async def put(self, row: ScheduleRow) -> tuple[ScheduleRow, bool]:
        """Store a schedule durably. Return the stored schedule, and True if it is new. Raises StorageError."""
        now, since = self._trusted(), self._since
        if now is not None and since is None:
            since = now
        version = self._rules.current()

        def work(ledger: LedgerWriter, accept: Accept) -> tuple[ScheduleRow, bool]:
            writer = SlotWriter(ledger.schedules, accept, kind=self._kind, now=now or time.time())
            before = ledger.schedules.reader.find(row.name)
            new = row if before is None else _replacing(row, before)
            if ledger.schedules.reader.rules() != version and ledger.schedules.reader.next_due() is None:
                ledger.schedules.set_rules(version)
            return writer.put(new, before, since=since if now is not None else None), before is None

        stored, created = await self._outbox.make(work)
        if stored.cursor is None:
            self._made_at.setdefault(row.name, time.monotonic())
        self._wake.set()
        self._report_deed(stored, ScheduleDeed.MADE if created else ScheduleDeed.CHANGED)
        return stored, created

    async def drop(self, row: ScheduleRow) -> None:
        """Remove a schedule durably; its jobs stay. Raises StorageError."""
        await self._outbox.make(lambda ledger, _: ledger.schedules.drop(row))
        self._made_at.pop(row.name, None)
        self._wake.set()
        self._report_deed(row, ScheduleDeed.REMOVED)

    async def run_now(self, row: ScheduleRow, key: str) -> Accepted:
        """Make a job of a schedule now; a second call with the same key returns the same job.

        Raises StorageError, TooManyJobs, or another EdgeError because of which the job is refused.
        """

        def work(ledger: LedgerWriter, accept: Accept) -> Accepted | EdgeError:
            return SlotWriter(ledger.schedules, accept, kind=self._kind, now=time.time()).by_hand(row, key)

        answer = await self._outbox.make(work)
        if isinstance(answer, EdgeError):
            raise answer
        return answer

    def _report_deed(self, row: ScheduleRow, deed: ScheduleDeed) -> None:
        if self._journal.on:
            self._journal.schedule(ScheduleChange(row.name, deed, submitter=row.submitter))


def _replacing(row: ScheduleRow, before: ScheduleRow) -> ScheduleRow:
    """Return `row` as a new version of `before`, which keeps the identity and the slots of `before`."""
    return ScheduleRow(
        row.name, before.uid, row.asked, before.submitter, row.timezone, before.cursor, before.due_at, before.made_at
    )


def times_of(row: ScheduleRow) -> Timetable:
    """Return the times of a schedule of the ledger."""
    return Timetable(row.asked, timezone=row.timezone)
