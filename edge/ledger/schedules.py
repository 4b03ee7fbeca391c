"""Reads and writes schedules in the ledger, and the record of their slots."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from edge.ledger.connection import Connection
from edge.ledger.rows import SqlRow
from edge.model import Fate, Schedule

_COLUMNS = "name, uid, asked, submitter, timezone, cursor, due_at, made_at"
#: Slots that are kept of a schedule. That is more than may run at once, so that skipped slots before them stay visible.
KEEP_SLOTS = 200
#: SQL condition of a job that has not ended.
_OPEN = "job.state NOT IN ('succeeded', 'failed', 'cancelled')"

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Schedule).decode


class ScheduleRow(msgspec.Struct, frozen=True):
    """A schedule in the ledger."""

    name: str
    uid: str  # unique id; the name may be used again by a later schedule
    asked: Schedule
    submitter: str
    timezone: str
    cursor: int | None  # all slots up to this time are decided; None if the time was not known when it was made
    due_at: float | None  # when the gateway must decide its next slot; None if it is paused or has no next slot
    made_at: float


class SlotRow(msgspec.Struct, frozen=True):
    """The fate of a slot, or of several consecutive slots."""

    first: int
    last: int
    count: int
    fate: Fate
    reason: str = ""
    job: str = ""
    decided_at: float = 0.0
    by_hand: bool = False  # a person ran it by hand, so it is not a slot of the rule


class ScheduleReader:
    """Queries about schedules over one connection. Not thread-safe. All methods raise StorageError."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def find(self, name: str) -> ScheduleRow | None:
        """Return the schedule of this name, or None."""
        rows = self._connection.query(f"SELECT {_COLUMNS} FROM schedule WHERE name = ?", (name,))
        return _row(rows[0]) if rows else None

    def page(self, *, after: str = "", submitter: str | None = None, limit: int = 50) -> list[ScheduleRow]:
        """Return schedules in the order of their names, beginning after the name `after`."""
        condition, values = ("AND submitter = ?", (submitter,)) if submitter is not None else ("", ())
        rows = self._connection.query(
            f"SELECT {_COLUMNS} FROM schedule WHERE name > ? {condition} ORDER BY name LIMIT ?", (after, *values, limit)
        )
        return [_row(row) for row in rows]

    def due(self, now: float, *, limit: int) -> list[ScheduleRow]:
        """Return schedules that are due at `now`, the longest due first."""
        rows = self._connection.query(
            f"SELECT {_COLUMNS} FROM schedule INDEXED BY schedule_due WHERE due_at <= ? ORDER BY due_at LIMIT ?",
            (now, limit),
        )
        return [_row(row) for row in rows]

    def next_due(self) -> float | None:
        """Return when the first schedule is due, or None if none is ever due."""
        return self._first("SELECT min(due_at) FROM schedule INDEXED BY schedule_due WHERE due_at IS NOT NULL")

    def ahead(self, now: float) -> list[ScheduleRow]:
        """Return schedules whose slots are decided up to a time after `now`, because the clock went back."""
        rows = self._connection.query(f"SELECT {_COLUMNS} FROM schedule WHERE cursor > ?", (int(now),))
        return [_row(row) for row in rows]

    def timeless(self) -> list[ScheduleRow]:
        """Return schedules that were made while the time was not known."""
        return [_row(row) for row in self._connection.query(f"SELECT {_COLUMNS} FROM schedule WHERE cursor IS NULL")]

    def waiting(self) -> list[ScheduleRow]:
        """Return schedules that have a next time."""
        rows = self._connection.query(f"SELECT {_COLUMNS} FROM schedule WHERE due_at IS NOT NULL")
        return [_row(row) for row in rows]

    def slots(self, uid: str, *, limit: int = 20) -> list[SlotRow]:
        """Return the last slots of a schedule, latest first."""
        rows = self._connection.query(
            "SELECT first, last, count, fate, reason, job, decided_at, by_hand FROM slot"
            " WHERE schedule = ? ORDER BY first DESC, by_hand DESC LIMIT ?",
            (uid, limit),
        )
        return [_slot(row) for row in rows]

    def ran_after(self, uid: str, at: int) -> frozenset[int]:
        """Return the slots after `at` that made their job before the clock went back. They make no second job."""
        rows = self._connection.query(
            "SELECT first FROM slot WHERE schedule = ? AND first > ? AND by_hand = 0 AND fate = 'ran'", (uid, at)
        )
        return frozenset(row[0] for row in rows)

    def wanted_files(self) -> set[str]:
        """Return the hashes of the input files of schedules."""
        rows = self._connection.query("SELECT asked FROM schedule WHERE instr(asked, '\"files\"')")
        return {file.sha256 for row in rows for file in _decode(row[0]).files.values()}

    def open_jobs(self, uid: str) -> list[str]:
        """Return the ids of the jobs of a schedule that have not ended, oldest first."""
        rows = self._connection.query(
            f"SELECT job.id FROM slot JOIN job ON job.id = slot.job WHERE slot.schedule = ? AND slot.job <> ''"
            f" AND {_OPEN} ORDER BY job.seq",
            (uid,),
        )
        return [row[0] for row in rows]

    def counts(self) -> tuple[int, int]:
        """Return how many schedules are active, and how many are paused or never due."""
        rows = self._connection.query("SELECT count(due_at), count(*) FROM schedule")
        active, total = rows[0]
        return active, total - active

    def rules(self) -> str:
        """Return the version of the time zone rules behind the times in `due_at`, or an empty string if none is set."""
        rows = self._connection.query("SELECT rules FROM zone_rules")
        return str(rows[0][0]) if rows else ""

    def _first(self, sql: str) -> float | None:
        value: float | None = self._connection.query(sql)[0][0]
        return value


class ScheduleWriter:
    """Changes schedules, inside `LedgerWriter.transaction`. All methods raise sqlite3.Error."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.reader = ScheduleReader(connection)

    def put(self, row: ScheduleRow) -> None:
        """Store a schedule. It replaces the schedule of the same name."""
        self._connection.execute(
            f"INSERT OR REPLACE INTO schedule ({_COLUMNS}) VALUES (?,?,?,?,?,?,?,?)",
            (
                *(row.name, row.uid, _encode(row.asked), row.submitter, row.timezone),
                *(row.cursor, row.due_at, row.made_at),
            ),
        )

    def move(self, name: str, *, cursor: int | None, due_at: float | None) -> None:
        """Record up to which time the slots of a schedule are decided, and when it is due next."""
        self._connection.execute("UPDATE schedule SET cursor = ?, due_at = ? WHERE name = ?", (cursor, due_at, name))

    def drop(self, row: ScheduleRow) -> None:
        """Remove a schedule and the record of its slots. Its jobs stay."""
        self._connection.execute("DELETE FROM schedule WHERE name = ?", (row.name,))
        self._connection.execute("DELETE FROM slot WHERE schedule = ?", (row.uid,))

    def record(self, uid: str, slots: Iterable[SlotRow], *, now: float) -> None:
        """Record the fate of these slots, and delete old records. `KEEP_SLOTS` stay, and all slots in the future."""
        self._connection.execute_many(
            "INSERT OR REPLACE INTO slot (schedule, first, last, count, fate, reason, job, decided_at, by_hand)"
            " VALUES (?,?,?,?,?,?,?,?,?)",
            (
                (
                    uid,
                    slot.first,
                    slot.last,
                    slot.count,
                    slot.fate.value,
                    slot.reason[:200],
                    slot.job,
                    now,
                    slot.by_hand,
                )
                for slot in slots
            ),
        )
        self._connection.execute(
            "DELETE FROM slot WHERE schedule = ?1 AND first < (SELECT first FROM slot WHERE schedule = ?1"
            " AND first <= ?2 ORDER BY first DESC LIMIT 1 OFFSET ?3)",
            (uid, int(now), KEEP_SLOTS - 1),
        )

    def rewind(self, row: ScheduleRow, *, now: float, due_at: float | None) -> None:
        """Go back to `now` because the clock went back: slots that have not run are decided again at their time."""
        at = int(now)
        self._connection.execute("DELETE FROM slot WHERE schedule = ? AND first > ? AND fate <> 'ran'", (row.uid, at))
        self._connection.execute(
            "UPDATE slot SET last = ?2 WHERE schedule = ?1 AND first <= ?2 AND last > ?2 AND fate <> 'ran'",
            (row.uid, at),
        )
        self.move(row.name, cursor=at, due_at=due_at)

    def set_rules(self, rules: str) -> None:
        """Record the version of the time zone rules behind the times in `due_at`."""
        self._connection.execute("DELETE FROM zone_rules")
        self._connection.execute("INSERT INTO zone_rules (rules) VALUES (?)", (rules,))


def _row(row: SqlRow) -> ScheduleRow:
    return ScheduleRow(row[0], row[1], _decode(row[2]), *row[3:])


def _slot(row: SqlRow) -> SlotRow:
    first, last, count, fate, reason, job, decided_at, by_hand = row
    return SlotRow(first, last, count, Fate(fate), reason, job, decided_at, bool(by_hand))
