"""The records of the ledger: a new job, and its row."""

from __future__ import annotations

from functools import partial
from typing import Any, TypeAlias

import msgspec

from edge.core.values import JsonObject, JsonValue
from edge.model import InputFile, JobState, Power
from edge.schedule.later import USUAL_PRIORITY, Later

#: The columns of a row, in the order of the fields of `JobRow`.
COLUMNS = (
    "seq, id, task, arguments, power, retries, time_limit_s, submitter, fingerprint, state, "
    "accepted_at, finished_at, due_at, failures, attempts, cancel, remove, size_bytes, message, deadline_s, "
    "max_temp_c, priority, delay_s, clock, unique_key, files"
)
#: For lists: a job's arguments may be a megabyte, and a list has hundreds of jobs.
LEAN = COLUMNS.replace("arguments", "x''")
#: The columns of a list by themselves, without the arguments.
LEAN_NAMES = tuple(name for name in COLUMNS.split(", ") if name != "arguments")

#: Stored state of an accepted job that waits in the ledger for its time or for others. To everyone else it is accepted.
WAITING = "waiting"
#: The allowed values of the columns `state` and `power`.
STATES = {state.value: state for state in JobState if state is not JobState.RUNNING} | {WAITING: JobState.ACCEPTED}
POWERS = {power.value: power for power in Power}
#: Conditions that are true for a row with another value.
ODD_STATE = f"state NOT IN ({', '.join(map(repr, STATES))})"
ODD_POWER = f"power NOT IN ({', '.join(map(repr, POWERS))})"

#: A value for a placeholder of a statement.
SqlValue: TypeAlias = str | bytes | int | float | None
#: A row that a statement returns. `Any`: its columns are as the tables say, which the type checker does not read.
SqlRow: TypeAlias = tuple[Any, ...]

#: Seq, failures and power class. They identify one message of a job; each retry is another edition.
Edition = tuple[int, int, str]

#: Decodes text columns. Text of a rotted column is not UTF-8, and SQLite's driver would refuse the whole row.
legible = partial(str, encoding="utf-8", errors="replace")


#: Decodes the column `files`. Raises msgspec.DecodeError.
files_of = msgspec.json.Decoder(dict[str, InputFile]).decode


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
    later: Later | None = None
    files: dict[str, InputFile] = {}
    child: bool = True  # of those that are spawned: False for a job of its own that a worker handed over


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
    priority: int = USUAL_PRIORITY
    delay_s: float | None = None  # `due_at` came from a delay; None: from a time
    clock: int | None = None  # which run of the gateway `due_at` of a delay was counted in
    unique_key: str | None = None
    files: bytes | None = None  # JSON of the files it was given, by name; None: no file
    waits: bool = False  # it waits in the ledger, for `due_at` or for other jobs; no column

    @property
    def edition(self) -> Edition:
        """Identifies the message of the present attempt."""
        return self.seq, self.failures, self.power.value

    def call(self) -> tuple[list[JsonValue], JsonObject]:
        """Positional and named arguments."""
        args, kwargs = msgspec.json.decode(self.arguments)
        return args, kwargs

    def inputs(self) -> dict[str, InputFile]:
        """The files it was given, by name. Raises msgspec.DecodeError where the row is damaged."""
        return {} if self.files is None else files_of(self.files)


class Child(msgspec.Struct, frozen=True):
    """A spawned job: its place among its parent's jobs, its id, and its row; no row once it was removed."""

    n: int
    id: str
    job: JobRow | None


class Followers(msgspec.Struct, frozen=True):
    """What the end of jobs means for those that wait for them."""

    free: list[JobRow] = []  # these may be published now
    waiting: list[str] = []  # these not, or never: something has to be decided or fetched


class Accepted(msgspec.Struct, frozen=True):
    """A submitted job in the ledger; `created` is False when an earlier submission had the same key."""

    job: JobRow
    created: bool


def job_of(row: SqlRow) -> JobRow:
    """The job in a row of `COLUMNS`.

    A damaged state or class is no error, so the other rows can be read: the job counts as accepted, of class `normal`.
    """
    asked = bool(row[15]), bool(row[16])
    state, power = STATES.get(row[9], JobState.ACCEPTED), POWERS.get(row[4], Power.NORMAL)
    fields = (*row[:4], power, *row[5:9], state, *row[10:15], *asked, *row[17:], row[9] == WAITING)
    return JobRow(*fields)
