"""Decides the due slots of a schedule inside a transaction of the ledger, so jobs and slots are in the same commit.

A slot is one time of a schedule. Its fate tells whether a job was made for it. The cursor of a schedule is the time up
to which all slots are decided.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256

import msgspec

from edge.catalog.catalogue import TaskInfo
from edge.core.errors import EdgeError, JobGone, KeyReused
from edge.gateway.background.outbox import Accept
from edge.ledger.rows import Accepted, NewJob
from edge.ledger.schedules import ScheduleRow, ScheduleWriter, SlotRow
from edge.model import Fate, Missed, Overlap, Power, derived_job_id
from edge.schedule.later import USUAL_PRIORITY, Later
from edge.schedule.slots import (
    MOST_AT_ONCE,
    Decision,
    Without,
    around,
    decide,
    rewound,
    skipped_while_paused,
)
from edge.schedule.timetable import Timetable, rule

#: Returns the description of a kind of job, or None if the kind is not known.
FindKind = Callable[[str], TaskInfo | None]

_encode = msgspec.json.Encoder(order="deterministic").encode


class SlotWriter:
    """Decides slots within one transaction of the ledger, in its thread. Make a new one for each transaction."""

    def __init__(self, schedules: ScheduleWriter, accept: Accept, *, kind: FindKind, now: float) -> None:
        """`now` is the time of the decisions, in epoch seconds; `accept` puts a job into the ledger."""
        self._schedules, self._accept, self._kind, self._now = schedules, accept, kind, now

    def decide(self, row: ScheduleRow, *, since: float) -> list[SlotRow]:
        """Decide the due slots of `row`, make their jobs, and set the next time.

        `since` is the time since which the clock has been right without a break. Slots before it are missed slots.
        """
        asked, now = row.asked, self._now
        if asked.paused or row.cursor is None:
            return []
        table, limits = Timetable(asked, timezone=row.timezone), rule(asked, uid=row.uid)
        ran = self._schedules.reader.ran_after(row.uid, row.cursor)
        times = Without(table.times, ran) if ran else table.times
        found = decide(times, limits, cursor=row.cursor, since=since, now=now)
        slots = self._made(row, found, ran, table) if found else []
        cursor = max(row.cursor, int(now - limits.delay_s))
        self._move(row, table, cursor=cursor)
        if slots:
            self._schedules.record(row.uid, slots, now=now)
        return slots

    def begin(self, row: ScheduleRow, *, cursor: int) -> None:
        """Decide the slots after `cursor` from now on, and set the next time."""
        self._move(row, Timetable(row.asked, timezone=row.timezone), cursor=cursor)

    def rewind(self, row: ScheduleRow) -> None:
        """Move the cursor back to now, because the clock was set back."""
        cursor = rewound(row.cursor or 0, self._now)
        due_at = None if row.asked.paused else self._due_at(row, Timetable(row.asked, timezone=row.timezone), cursor)
        self._schedules.rewind(row, now=self._now, due_at=due_at)

    def put(self, row: ScheduleRow, before: ScheduleRow | None, *, since: float | None) -> ScheduleRow:
        """Store `row` in place of `before`, and return it with its cursor and next time.

        The slots of `before` up to now are decided first. `since` is as in `decide`, or None if the time is not known.
        """
        cursor: int | None = None
        if since is not None:
            cursor = int(self._now)
            if before is not None and before.cursor is not None and before.cursor > cursor:
                self.rewind(before)
            elif before is not None and before.asked.paused:
                self._end_pause(before)
            elif before is not None:
                self.decide(before, since=since)
        elif before is not None:
            cursor = before.cursor  # the time is not known; once it is, the slots since then are decided
        due_at = None
        if cursor is not None and not row.asked.paused:
            due_at = self._due_at(row, Timetable(row.asked, timezone=row.timezone), cursor)
        row = msgspec.structs.replace(row, cursor=cursor, due_at=due_at)
        self._schedules.put(row)
        return row

    def by_hand(self, row: ScheduleRow, key: str) -> Accepted | EdgeError:
        """Make a job now, outside the slots. A second call with the same key returns the same job."""
        answer = self._accept(self._job(row, f"hand:{key}"))
        if isinstance(answer, Accepted) and answer.created:
            at = int(self._now)
            slot = SlotRow(at, at, 1, Fate.RAN, "by hand", answer.job.id, self._now, by_hand=True)
            self._schedules.record(row.uid, [slot], now=self._now)
        return answer

    def _end_pause(self, row: ScheduleRow) -> None:
        if row.cursor is None:
            return
        ran = self._schedules.reader.ran_after(row.uid, row.cursor)
        times = Timetable(row.asked, timezone=row.timezone).times
        paused = skipped_while_paused(Without(times, ran), row.cursor, self._now)
        if paused is not None:
            slots = [_slot(piece) for piece in around(times, paused, ran)]
            self._schedules.record(row.uid, slots, now=self._now)

    def _made(self, row: ScheduleRow, found: list[Decision], ran: frozenset[int], table: Timetable) -> list[SlotRow]:
        """Make the jobs, and return the slots with their fate."""
        overlap, slots = row.asked.overlap, list[SlotRow]()
        unended = self._schedules.reader.open_jobs(row.uid) if overlap is not Overlap.ALLOW else []
        for decision in found:
            if decision.fate is not Fate.RAN:
                slots += [_slot(piece) for piece in around(table.times, decision, ran)]
                continue
            # If all missed slots run, they run one after another: at their proper times they would not have overlapped.
            in_turn = overlap is Overlap.QUEUE or (decision.missed and row.asked.missed is Missed.ALL)
            if unended and not in_turn:
                slots.append(_slot(decision, skipped=f"job {unended[-1]} of an earlier slot has not ended"))
            elif len(unended) >= MOST_AT_ONCE:
                slots.append(_slot(decision, skipped=f"{len(unended)} jobs of earlier slots have not ended"))
            else:
                slot = self._ran(row, decision, after=unended[-1:] if overlap is not Overlap.ALLOW else [])
                slots.append(slot)
                if slot.job and overlap is not Overlap.ALLOW:
                    unended.append(slot.job)
        return slots

    def _ran(self, row: ScheduleRow, decision: Decision, *, after: list[str]) -> SlotRow:
        job = self._job(row, str(decision.first), after=after)
        answer = self._accept(job)
        if isinstance(answer, JobGone | KeyReused):
            return _slot(decision, job=job.id)  # the job was made before, but this ledger is an older copy
        if isinstance(answer, EdgeError):
            return _slot(decision, skipped=str(answer))
        return _slot(decision, job=answer.job.id)

    def _job(self, row: ScheduleRow, slot: str, *, after: list[str] | None = None) -> NewJob:
        asked, kind = row.asked, self._kind(row.asked.task)
        key = f"schedule:{row.name}:{row.uid}:{slot}"
        retries = asked.retries
        return NewJob(
            id=derived_job_id(row.submitter, key),
            task=asked.task,
            args=asked.args,
            kwargs=asked.kwargs,
            power=asked.power or (kind.power if kind else Power.NORMAL),
            retries=retries if retries is not None else kind.retries if kind else 0,
            time_limit_s=asked.time_limit_s or (kind.time_limit_s if kind else None),
            submitter=row.submitter,
            fingerprint=sha256(_encode([asked.task, asked.args, asked.kwargs])).digest(),
            key=key,
            deadline_s=asked.deadline_s,
            max_temp_c=asked.max_temp_c,
            files=asked.files,
            later=_later(asked.priority, after or []),
        )

    def _move(self, row: ScheduleRow, table: Timetable, *, cursor: int) -> None:
        due_at = None if row.asked.paused else self._due_at(row, table, cursor)
        self._schedules.move(row.name, cursor=cursor, due_at=due_at)

    @staticmethod
    def _due_at(row: ScheduleRow, table: Timetable, cursor: int) -> float | None:
        following = table.times.after(cursor)
        return None if following is None else following + rule(row.asked, uid=row.uid).delay_s


def _later(priority: int | None, after: list[str]) -> Later | None:
    """Return how the job waits in the ledger: after the jobs `after`, even if they fail. None if it does not wait."""
    if priority is None and not after:
        return None
    return Later(
        priority=USUAL_PRIORITY if priority is None else priority, after=tuple(after), anyway=True, foreign=True
    )


def _slot(decision: Decision, *, job: str = "", skipped: str = "") -> SlotRow:
    fate = Fate.SKIPPED if skipped else decision.fate
    return SlotRow(decision.first, decision.last, decision.count, fate, skipped or decision.reason, job)
