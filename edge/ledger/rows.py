"""What goes into the ledger and what comes out of it: a job on its way in, and its row."""

from __future__ import annotations

from functools import partial
from typing import Any, TypeAlias

import msgspec

from edge.core.values import JsonObject, JsonValue
from edge.model import JobState, Power

#: The columns of a row, in the order of the fields of `JobRow`.
COLUMNS = (
    "seq, id, task, arguments, power, retries, time_limit_s, submitter, fingerprint, state, "
    "accepted_at, finished_at, due_at, failures, attempts, cancel, remove, size_bytes, message, deadline_s, max_temp_c"
)
#: For lists: a job's arguments may be a megabyte, and a list has hundreds of jobs.
LEAN = COLUMNS.replace("arguments", "x''")

#: What may stand in the two columns that rows are chosen by.
STATES = {state.value: state for state in JobState if state is not JobState.RUNNING}
POWERS = {power.value: power for power in Power}
#: True of a row in which something else stands.
ODD_STATE = f"state NOT IN ({', '.join(map(repr, STATES))})"
ODD_POWER = f"power NOT IN ({', '.join(map(repr, POWERS))})"

#: What a statement may be given.
SqlValue: TypeAlias = str | bytes | int | float | None
#: What a statement gives. `Any`: its columns are as the tables say, which the type checker does not read.
SqlRow: TypeAlias = tuple[Any, ...]

#: Seq, failures and power class: what tells one message of a job from its next.
Edition = tuple[int, int, str]

#: Decodes text columns. Text of a rotted column is not UTF-8, and SQLite's driver would refuse the whole row.
legible = partial(str, encoding="utf-8", errors="replace")


class NewJob(msgspec.Struct, frozen=True):
    """A checked job on its way into the ledger. `key` is the submitter's idempotency key or empty."""

    id: str
    task: str
    args: list[JsonValue]
    kwargs: JsonObject
    power: Power
    retries: int
    time_limit_s: float | None
    submitter: str
    fingerprint: bytes
    key: str = ""
    deadline_s: float | None = None
    max_temp_c: float | None = None


class JobRow(msgspec.Struct, frozen=True):
    """A row of the ledger."""

    seq: int
    id: str
    task: str
    arguments: bytes  # JSON of [args, kwargs]; empty in lists of jobs
    power: Power
    retries: int
    time_limit_s: float | None
    submitter: str
    fingerprint: bytes
    state: JobState
    accepted_at: float
    finished_at: float | None = None
    due_at: float | None = None
    failures: int = 0
    attempts: int = 0
    cancel: bool = False
    remove: bool = False
    size_bytes: int = 0
    message: str = ""
    deadline_s: float | None = None
    max_temp_c: float | None = None

    @property
    def edition(self) -> Edition:
        """Tells the message of one attempt from that of the next."""
        return self.seq, self.failures, self.power.value

    def call(self) -> tuple[list[JsonValue], JsonObject]:
        """Positional and named arguments."""
        args, kwargs = msgspec.json.decode(self.arguments)
        return args, kwargs


class Accepted(msgspec.Struct, frozen=True):
    """What became of one submitted job: `created` is False when its key had brought it here before."""

    job: JobRow
    created: bool


def job_of(row: SqlRow) -> JobRow:
    """The job in a row of `COLUMNS`.

    A damaged state or class is no error, so the other rows can be read: the job counts as accepted, of class `normal`.
    """
    asked = bool(row[15]), bool(row[16])
    state, power = STATES.get(row[9], JobState.ACCEPTED), POWERS.get(row[4], Power.NORMAL)
    fields = (*row[:4], power, *row[5:9], state, *row[10:15], *asked, *row[17:])
    return JobRow(*fields)
