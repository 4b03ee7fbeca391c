"""Defines the records of the ledger: a new job, and its stored row."""

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
    "max_temp_c, priority, delay_s, clock, unique_key, files, released_seq"
)
#: The columns for lists, without the arguments: those of one job may be a megabyte, and a list has hundreds of jobs.
LEAN = COLUMNS.replace("arguments", "x''")
#: The names of the columns for lists.
LEAN_NAMES = tuple(name for name in COLUMNS.split(", ") if name != "arguments")

#: Stored state of an accepted job that waits in the ledger for its time or for others. Outside the ledger its state is
#: `accepted`.
WAITING = "waiting"
#: The allowed values of the columns `state` and `power`.
STATES = {state.value: state for state in JobState if state is not JobState.RUNNING} | {WAITING: JobState.ACCEPTED}
POWERS = {power.value: power for power in Power}
#: SQL conditions that are true for a row with a value that is not allowed.
ODD_STATE = f"state NOT IN ({', '.join(map(repr, STATES))})"
ODD_POWER = f"power NOT IN ({', '.join(map(repr, POWERS))})"

#: A value for a placeholder of a statement.
SqlValue: TypeAlias = str | bytes | int | float | None
#: A row that a statement returns. It is `Any`, because the type checker does not know the types of the columns.
SqlRow: TypeAlias = tuple[Any, ...]

#: Seq, failures and power class, which identify one message of a job. Each retry has another key.
MessageKey = tuple[int, int, str]

#: Decodes text columns. A damaged column may not be UTF-8, and then SQLite's driver would refuse the whole row.
legible = partial(str, encoding="utf-8", errors="replace")


#: Decodes the column `files`. Raises msgspec.DecodeError.
files_of = msgspec.json.Decoder(dict[str, InputFile]).decode


class NewJob(msgspec.Struct, frozen=True):
    """A checked job before it is inserted. `key` is the submitter's idempotency key, or empty."""

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
    child: bool = True  # for a spawned job: False if it does not count as a child, because it came by plain Celery


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
    delay_s: float | None = None  # the delay that `due_at` was computed from; None if `due_at` was given as a time
    clock: int | None = None  # number of the run of the gateway that computed `due_at` from a delay
    unique_key: str | None = None
    files: bytes | None = None  # JSON of its input files by name; None if it has none
    released_seq: int | None = None  # number of the newest job when this one was released; None if it never waited
    waits: bool = False  # it waits in the ledger, for `due_at` or for other jobs; not a column

    @property
    def message_key(self) -> MessageKey:
        """The key of the message of the present attempt."""
        return self.seq, self.failures, self.power.value

    @property
    def ready_seq(self) -> int:
        """The number of the newest job when this one could first be published."""
        return self.seq if self.released_seq is None else self.released_seq

    def call(self) -> tuple[list[JsonValue], JsonObject]:
        """Return the positional and the named arguments."""
        args, kwargs = msgspec.json.decode(self.arguments)
        return args, kwargs

    def inputs(self) -> dict[str, InputFile]:
        """Return its input files by name. Raises msgspec.DecodeError if the row is damaged."""
        return {} if self.files is None else files_of(self.files)


class Child(msgspec.Struct, frozen=True):
    """A spawned job: its place among the jobs of its parent, its id, and its row."""

    n: int
    id: str
    job: JobRow | None  # None after the job was removed


class Followers(msgspec.Struct, frozen=True):
    """The jobs that waited for jobs that have ended."""

    free: list[JobRow] = []  # jobs that may be published now
    waiting: list[str] = []  # ids of the others: a failure must be decided, a result fetched, or they wait for more


class Accepted(msgspec.Struct, frozen=True):
    """A submitted job in the ledger. `created` is False if an earlier submission had the same key."""

    job: JobRow
    created: bool


def job_of(row: SqlRow) -> JobRow:
    """Return the job in a row of `COLUMNS`.

    A damaged state or class is not an error, so that the other rows can be read. The job then counts as accepted, of
    class `normal`.
    """
    asked = bool(row[15]), bool(row[16])
    state, power = STATES.get(row[9], JobState.ACCEPTED), POWERS.get(row[4], Power.NORMAL)
    fields = (*row[:4], power, *row[5:9], state, *row[10:15], *asked, *row[17:], row[9] == WAITING)
    return JobRow(*fields)
