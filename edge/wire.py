"""Defines the records of the HTTP API `/v1` that the gateway writes and the client reads.

Fields are only ever added, each with a default, so that an older client reads a newer gateway's answer.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta

from edge.core.values import JsonObject, JsonValue
from edge.model import (
    Energy,
    Fate,
    InputFile,
    InputFiles,
    JobState,
    MaxTemp,
    Missed,
    Overlap,
    Power,
    PowerStatus,
    Priority,
    Progress,
    Retries,
    ScaledWorkers,
    TaskName,
    TimeLimit,
    WaitReason,
    Waits,
    WorkerState,
    WorkerStatus,
)
from edge.model.pairing import Digest, Nonce, TokenName

#: An idempotency key: the `Idempotency-Key` header of `POST /v1/jobs`, or `key` in a line of a batch. Text that HTTP
#: would change or refuse in a header is not allowed in a batch either, so each key can be sent in both ways.
#: The pattern is for the schema only. `is_key` does the check, so that the error can quote `KEY_RULE`.
_KEY = re.compile(r"[!-~]([ -~]{0,253}[!-~])?")
Key = Annotated[str, Meta(extra_json_schema={"pattern": f"^{_KEY.pattern}$"})]
KEY_RULE = "1 to 255 printable ASCII characters, no space at its ends"


def is_key(text: str) -> bool:
    """Return True if `text` can be an idempotency key."""
    return _KEY.fullmatch(text) is not None


class StartInterval(msgspec.Struct, frozen=True):
    """When a waiting job will probably start, by the board's clock. Four of five start between `early` and `late`."""

    early: float
    likely: float
    late: float


class ForecastView(msgspec.Struct, frozen=True, omit_defaults=True):
    """How good the recent forecasts of the board were: energy from the panel, and start times of waiting jobs."""

    days: int = 0  # number of days that the forecast was learned from
    error_wh: float | None = None  # mean error of the energy per day from the panel, as forecast when the day begins
    as_yesterday_wh: float | None = None  # the same error of a forecast that repeats the day before
    outside_wh: float | None = None  # the same error of the forecast in `power.forecast.file`
    below_p10: float | None = None  # share of the hours that gave less than their P10; 0.1 is right
    starts: int = 0  # predicted start intervals of jobs that have started since; older ones count less
    starts_held: float | None = None  # share of these intervals in which the job started; 0.8 is right


class JobView(msgspec.Struct, frozen=True, omit_defaults=True):
    """A job as `GET /v1/jobs/ID` shows it: its state, and why it is in this state."""

    id: str
    task: str
    state: JobState
    power: Power = Power.NORMAL
    submitter: str = ""
    accepted_at: float = 0.0
    started_at: float | None = None
    finished_at: float | None = None
    attempts: int = 0  # bodies begun so far
    retries: int = 0  # how many times a failed body may run again
    time_limit_s: float | None = None
    deadline_at: float | None = None  # time from which a surplus job runs at normal power too
    resumes_at: float | None = None  # when power for it is expected; None if it waits for no power or no time is known
    max_temp_c: float | None = None
    priority: int = 5  # 0 to 9, higher first
    due_at: float | None = None  # published at this time: the end of a back-off, or a start that the submitter delayed
    cancelling: bool = False  # a cancel was requested, and the job has not ended yet
    waiting: str = ""  # why it does not run now, and the rule that ends the wait, in words
    ahead: int | None = None  # known jobs that run before it; 5000 means 5000 or more
    worker: str = ""  # name of the worker that runs it
    progress: Progress | None = None
    held: WaitReason | None = None  # why a job that has begun is stopped now; `waiting` says the same in words
    energy: Energy | None = None  # energy that an ended job used
    error: str = ""  # one line: why the job or its last attempt failed, or why the job was cancelled
    after: tuple[str, ...] = ()  # ids of the jobs that must end before it starts
    followers: int = 0  # jobs that run after it, at most 1000 are counted
    parent: str = ""  # id of the job that spawned this one
    children: dict[str, int] = {}  # number of the jobs that it spawned, by state; removed ones count as `removed`
    files: dict[str, InputFile] = {}  # its input files, by the names of its inputs
    starts: StartInterval | None = None  # when it will probably start; None without a forecast on this board


class ChildPage(msgspec.Struct, frozen=True, omit_defaults=True):
    """One page of `GET /v1/jobs/ID/children`: the jobs that a job spawned, in the order in which it spawned them."""

    jobs: tuple[JobView, ...]
    removed: tuple[str, ...] = ()  # ids of the spawned jobs whose results were removed
    next: str | None = None  # `cursor` of the next page; None on the last page


class FollowerPage(msgspec.Struct, frozen=True, omit_defaults=True):
    """One page of `GET /v1/jobs/ID/followers`: the jobs that run after a job, sorted by id."""

    jobs: tuple[JobView, ...]
    next: str | None = None  # `cursor` of the next page; None on the last page


class JobPage(msgspec.Struct, frozen=True, omit_defaults=True):
    """One page of `GET /v1/jobs`, newest first."""

    jobs: tuple[JobView, ...]
    next: str | None = None  # `cursor` of the next page; None on the last page


class FileView(msgspec.Struct, frozen=True, omit_defaults=True):
    """An input file for jobs, as `GET /v1/files/UPLOAD` shows it: how much of it has arrived, and its hash."""

    received: int  # bytes that are safe; a resumed upload continues at this offset
    bytes: int | None = None  # length of the whole file; None if no request has announced it yet
    sha256: str = ""  # hash of the stored file, or the hash that the upload announced
    stored: bool = False  # the file is complete, and a job may name it


Ref = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]


class BatchItem(Waits, msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One line of `POST /v1/jobs/batch`: a submission with its own idempotency key."""

    task: TaskName
    args: list[JsonValue] = []
    kwargs: JsonObject = {}
    power: Power | None = None
    retries: Retries | None = None
    time_limit_s: TimeLimit | None = None
    key: Key | None = None
    deadline_s: TimeLimit | None = None
    max_temp_c: MaxTemp | None = None
    files: InputFiles = {}
    ref: Ref | None = None  # names this line in `after` and in `{"$result": ...}` of other lines


class JobPatch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of `PATCH /v1/jobs/ID`, which changes an open job."""

    priority: Priority


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """An RFC 9457 problem document; `code` is stable for programs, `detail` is one sentence for people."""

    title: str
    status: int
    detail: str = ""
    type: str = "about:blank"
    code: str = ""
    job_id: str = ""
    awake_at: float | None = None  # with the code `asleep`: when the board is awake again


class BatchAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """The answer to one line of a batch: an id, or the problem with that line."""

    line: int  # counted from 1
    id: str = ""
    state: JobState | None = None
    starts: StartInterval | None = None  # when it will probably start; left out if soon, or without a forecast
    problem: Problem | None = None


class TaskView(msgspec.Struct, frozen=True, omit_defaults=True):
    """A kind of job that can be submitted."""

    name: str
    summary: str = ""
    description: str = ""
    module: str = ""
    positional: tuple[str, ...] = ()  # names of the arguments that may be positional, in order
    schema: JsonObject = {}  # JSON Schema (2020-12) of one object that holds all arguments by name
    power: Power = Power.NORMAL
    retries: int = 0
    time_limit_s: float | None = None
    scope: str = ""  # scope that a token needs in addition to `submit`; empty if it needs no other
    inputs: dict[str, int] | None = None  # files that it needs, each with its largest size; None if it takes any files


class TaskList(msgspec.Struct, frozen=True, omit_defaults=True):
    """`GET /v1/tasks`: the kinds of job, and the configured modules that could not be read."""

    tasks: tuple[TaskView, ...]
    errors: dict[str, str] = {}  # one line of error for each module that could not be read


class BrokerState(StrEnum):
    """The state of the gateway's connection to RabbitMQ."""

    CONNECTED = "connected"
    BLOCKED = "blocked"  # the broker has a memory or disk alarm: jobs are accepted, and published after the alarm
    DOWN = "down"  # no connection: jobs are accepted, and published when the broker is back


class BrokerView(msgspec.Struct, frozen=True, omit_defaults=True):
    """The broker as the gateway sees it."""

    state: BrokerState
    reason: str = ""


class StatusView(msgspec.Struct, frozen=True, omit_defaults=True):
    """`GET /v1/status`: the state of the whole board."""

    version: str
    broker: BrokerView
    power: PowerStatus  # with the present age of each reading; state `unknown` without a valid report of the governor
    workers: tuple[WorkerStatus, ...] = ()
    jobs: dict[str, int] = {}  # number of jobs by state
    tasks: int = 0
    task_errors: dict[str, str] = {}
    host: str = ""
    started_at: float = 0.0
    at: float = 0.0  # the board's clock now
    free_bytes: int | None = None  # free space on the file system of the state root
    warnings: tuple[str, ...] = ()  # damage to stored data, such as a ledger that was broken and has been rebuilt
    scaling: tuple[ScaledWorkers, ...] = ()  # how many workers of each scaled entry must run, and why
    awake_at: float | None = None  # end of the sleep that the board is about to begin; None if it stays on
    away: dict[str, float] = {}  # nodes that have reported that they go to sleep, and when each is awake again
    unserved: tuple[str, ...] = ()  # sentences: a kind of job or power class that no worker takes, and how to mend it
    forecast: ForecastView | None = None  # None if the board makes no forecast


class Health(StrEnum):
    """The health of the gateway."""

    OK = "ok"
    DEGRADED = "degraded"  # jobs are accepted and kept, but something delays them
    FAILING = "failing"  # no job can be accepted


class HealthView(msgspec.Struct, frozen=True):
    """`GET /v1/healthz`: 200, or 503 when failing."""

    health: Health
    reasons: tuple[str, ...] = ()


class About(StrEnum):
    """The subject of an event of `GET /v1/events`. It is also the name of the event in the stream."""

    JOB = "job"
    POWER = "power"
    WORKER = "worker"
    BROKER = "broker"
    SCHEDULE = "schedule"
    OUTPUT = "output"  # text that a program printed; sent only to a reader that requests output
    RESET = "reset"  # events are missing here: read the whole state again, then continue after this event
    DROPPED = "dropped"  # the reader was too slow and is disconnected; it may reconnect with `Last-Event-ID`


class JobChange(msgspec.Struct, frozen=True, omit_defaults=True):
    """A job at the moment of a change. `GET /v1/jobs/ID` shows all of it."""

    id: str
    task: str
    state: JobState
    submitter: str = ""
    attempts: int = 0  # bodies begun so far; 0 if the change does not say how many
    started_at: float | None = None
    finished_at: float | None = None
    due_at: float | None = None  # a retrying job is published again at this time
    worker: str = ""  # name of the worker that runs or ran it
    progress: Progress | None = None
    held: WaitReason | None = None  # why a job that has begun is stopped now
    cancelling: bool = False  # a cancel was requested, and the job has not ended yet
    removed: bool = False  # its result was removed
    error: str = ""  # one line: why the job or its last attempt failed, or why the job was cancelled


class WorkerChange(msgspec.Struct, frozen=True, omit_defaults=True):
    """A worker at the moment of a change."""

    name: str
    state: WorkerState  # `stopped` after its process has ended; always `stopped` for a scaled entry (it has no process)
    queues: tuple[str, ...] = ()
    reason: str = ""
    slots: int = 1
    wanted: int | None = None  # for a scaled entry: how many processes must run; `reason` says why


class ScheduleDeed(StrEnum):
    """What happened to a schedule or to its slots."""

    MADE = "made"
    CHANGED = "changed"  # also: paused, resumed
    REMOVED = "removed"
    RAN = "ran"
    COALESCED = "coalesced"
    SKIPPED = "skipped"


class ScheduleChange(msgspec.Struct, frozen=True, omit_defaults=True):
    """A schedule at the moment of a change. `GET /v1/schedules/NAME` shows all of it."""

    name: str
    deed: ScheduleDeed
    submitter: str = ""
    slot: float | None = None  # time of the slot, or of the last one of several slots
    count: int = 1  # number of slots; 100 means 100 or more
    job: str = ""  # id of the job that the slot made
    reason: str = ""


class SlotView(msgspec.Struct, frozen=True, omit_defaults=True):
    """What happened to a slot of a schedule, or to several consecutive slots with the same fate."""

    slot: str  # time of the slot, or of the first one of several; RFC 3339, in the zone of the schedule
    fate: Fate
    until: str = ""  # time of the last slot of several
    count: int = 1  # number of slots; 100 means 100 or more
    job: str = ""  # id of the job that the slot made
    reason: str = ""  # why the slot did not run, or did not run at its time
    decided_at: float = 0.0


class ScheduleView(msgspec.Struct, frozen=True, omit_defaults=True):
    """A schedule as `GET /v1/schedules/NAME` shows it."""

    name: str
    sentence: str  # the rule and the next time in words: `every day at 02:30 (Europe/Berlin); next: ...`
    task: str
    args: list[JsonValue] = []
    kwargs: JsonObject = {}
    power: Power | None = None
    priority: int | None = None
    retries: int | None = None
    time_limit_s: float | None = None
    deadline_s: float | None = None
    max_temp_c: float | None = None
    files: dict[str, InputFile] = {}
    cron: str | None = None
    every_s: int | None = None
    timezone: str = "UTC"
    missed: Missed = Missed.LAST
    within_s: float | None = None
    overlap: Overlap = Overlap.SKIP
    jitter_s: float = 0.0
    paused: bool = False
    submitter: str = ""
    made_at: float = 0.0
    waiting: str = ""  # why the board decides no slot now
    next: tuple[str, ...] = ()  # the next five slots, in a list only one; RFC 3339, in the zone of the schedule
    slots: tuple[SlotView, ...] = ()  # the last twenty decided slots, latest first; always empty in a list


class SchedulePage(msgspec.Struct, frozen=True, omit_defaults=True):
    """One page of `GET /v1/schedules`, sorted by name."""

    schedules: tuple[ScheduleView, ...]
    next: str | None = None  # `cursor` of the next page; None on the last page


class OutputChange(msgspec.Struct, frozen=True, omit_defaults=True):
    """A piece of the text that a program printed. `GET /v1/jobs/ID/output` has all output that is kept."""

    id: str
    stream: str  # `stdout` or `stderr`
    offset: int  # offset in the stream of the first byte of this piece
    text: str  # bytes that are not UTF-8 are replaced
    size_bytes: int  # length of this piece in the stream
    end: int  # bytes printed so far; if more than `offset + size_bytes`, read the rest from the job's output


class Event(msgspec.Struct, frozen=True, omit_defaults=True):
    """The `data` of one event of `GET /v1/events`. `about` says which member below has the content."""

    about: About
    at: float = 0.0  # time of the event, by the board's clock
    job: JobChange | None = None  # change of the job, in an event about a job
    power: PowerStatus | None = None  # power state without its readings, in an event about power
    worker: WorkerChange | None = None  # change of the worker, in an event about a worker
    broker: BrokerView | None = None  # state of the broker, in an event about the broker
    schedule: ScheduleChange | None = None  # change of the schedule, in an event about a schedule
    output: OutputChange | None = None  # piece of the text, in an event about the output of a program
    reason: str = ""  # reason of an event `reset` or `dropped`
    id: str = ""  # set by the client; a later request with this id resumes after this event


class SeriesPoint(msgspec.Struct, frozen=True, omit_defaults=True):
    """One step of `GET /v1/series`: means over the step, and counts in it. A missing member is not known."""

    at: float  # when the step begins
    charge: float | None = None  # percent
    watts: float | None = None
    solar_watts: float | None = None
    temperature: float | None = None  # temperature of the board in degrees Celsius
    seconds: dict[str, float] = {}  # seconds in each power state; together less than the step if the board was off
    started: int = 0  # jobs whose last attempt began in this step; counts ended jobs and jobs that run now
    succeeded: int = 0
    failed: int = 0
    cancelled: int = 0
    backlog: int | None = None  # the highest number of open jobs


class SeriesView(msgspec.Struct, frozen=True, omit_defaults=True):
    """`GET /v1/series`: the last day or month in equal steps, oldest first."""

    span: str
    step_s: float
    points: tuple[SeriesPoint, ...]
    pause_percent: float | None = None  # work pauses at or below this charge; None if no source reports a charge
    resume_percent: float | None = None  # work continues at or above this charge; None if no source reports a charge


class PairAsk(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`POST /v1/pair`: a machine asks the board to accept a token that the machine has generated."""

    name: TokenName  # name that the machine gives itself
    sha256: Digest  # hash of the token, in hex


class PairOpened(msgspec.Struct, frozen=True):
    """The answer to `POST /v1/pair`: the board has chosen a random number, and the hash commits it to this number."""

    id: str
    commitment: str
    expires_s: float


class PairNonce(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`PUT /v1/pair/ID`: the random number of the machine that wants to pair."""

    nonce: Nonce


class PairCommitted(msgspec.Struct, frozen=True):
    """The answer to `PUT /v1/pair/ID`: the random number of the board.

    Each end computes the binding of the code from both numbers, the certificate and the token.
    """

    nonce: str
    expires_s: float


class PairView(msgspec.Struct, frozen=True, omit_defaults=True):
    """The state of a pairing request: `waiting`, `approved` or `denied`."""

    state: str
    name: str = ""  # name of the token, once the request is approved
    scopes: tuple[str, ...] = ()
    echo: str = ""  # the echo part of the code that the owner typed; empty if the button approved the request
    expires_s: float = 0.0  # seconds until a waiting request expires


class OpenPairing(msgspec.Struct, frozen=True, omit_defaults=True):
    """A pairing request that an admin may approve by typing the code from the screen of the other machine."""

    name: str
    address: str
    expires_s: float
    page: bool = False  # the request came from a browser, so the code does not prove the certificate


class OpenPairings(msgspec.Struct, frozen=True):
    """`GET /v1/pairings`: the open pairing requests, oldest first."""

    pairings: tuple[OpenPairing, ...]


class ProblemCode(StrEnum):
    """Every `code` a problem may carry."""

    BAD_REQUEST = "bad-request"  # the request, its query or its JSON is not valid
    BAD_ARGUMENTS = "bad-arguments"  # the kind of job does not take these arguments
    UNKNOWN_TASK = "unknown-task"  # no such kind of job
    UNKNOWN_JOB = "unknown-job"  # no job has this id
    UNKNOWN_FILE = "unknown-file"  # the result has no file of this name
    UNKNOWN_SCHEDULE = "unknown-schedule"  # no schedule has this name
    UNKNOWN_INPUT = "unknown-input"  # 404: a job names a file that was not uploaded, or was removed again
    BAD_SCHEDULE = "bad-schedule"  # 422: a cron expression, zone or name that cannot be read
    JOB_GONE = "job-gone"  # the job has ended and its result was removed
    KEY_REUSED = "key-reused"  # the idempotency key was used before for another body
    WRONG_OFFSET = "wrong-offset"  # 409: the upload must continue at the offset in the header `Upload-Offset`
    WRONG_HASH = "wrong-hash"  # 409: a file does not have the announced hash, and is deleted
    WRONG_STATE = "wrong-state"  # 409: `DELETE ...?if_state=open` on an ended job, `?if_state=final` on an open one
    NOT_IN_TIME = "not-in-time"  # 409: `?only_if_in_time=true`, and the job would not end before its deadline
    UNAUTHENTICATED = "unauthenticated"  # no token, or an unknown one
    FORBIDDEN = "forbidden"  # the token does not have the scope
    UNKNOWN_PAIRING = "unknown-pairing"  # no pairing request has this code or id
    NOT_FOUND = "not-found"  # no resource has this path
    NOT_ALLOWED = "method-not-allowed"  # the resource does not support this method
    TOO_LARGE = "too-large"  # larger than `gateway.max_body_bytes` or `gateway.max_batch_bytes`
    ASLEEP = "asleep"  # 503 with Retry-After: the board is about to go down to sleep
    BUSY = "busy"  # 429 or 503 with Retry-After
    STORAGE = "storage"  # 507: the card is full, read-only or failing
    INTERNAL = "internal"  # a fault of the gateway itself
