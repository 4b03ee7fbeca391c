"""What the gateway answers and the client reads: one definition for both ends of `/v1`.

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

#: An idempotency key: the `Idempotency-Key` header of `POST /v1/jobs`, or `key` in a line of a batch. What HTTP would
#: change or refuse in a header is a key nowhere, so that each key can be sent either way.
#: The pattern is for the schema alone: `is_key` checks, and whoever asks it can answer with `KEY_RULE`.
_KEY = re.compile(r"[!-~]([ -~]{0,253}[!-~])?")
Key = Annotated[str, Meta(extra_json_schema={"pattern": f"^{_KEY.pattern}$"})]
KEY_RULE = "1 to 255 printable ASCII characters, no space at its ends"


def is_key(text: str) -> bool:
    """True when `text` can be an idempotency key."""
    return _KEY.fullmatch(text) is not None


class StartInterval(msgspec.Struct, frozen=True):
    """When a waiting job is going to start, by the board's clock: four of five start between `early` and `late`."""

    early: float
    likely: float
    late: float


class ForecastView(msgspec.Struct, frozen=True, omit_defaults=True):
    """How good it was lately what the board told of the time to come."""

    days: int = 0  # that the forecast was learned from
    error_wh: float | None = None  # mean error of a day's energy from the panel, told at its begin
    as_yesterday_wh: float | None = None  # the same of "as yesterday"
    outside_wh: float | None = None  # the same of `power.forecast.file`
    below_p10: float | None = None  # share of the hours that gave less than their P10; 0.1 is right
    starts: int = 0  # intervals that were told to waiting jobs which have started since; older ones count less
    starts_held: float | None = None  # share of them that held; 0.8 is right


class JobView(msgspec.Struct, frozen=True, omit_defaults=True):
    """A job as `GET /v1/jobs/ID` shows it: where it stands, and why it stands there."""

    id: str
    task: str
    state: JobState
    power: Power = Power.NORMAL
    submitter: str = ""
    accepted_at: float = 0.0
    started_at: float | None = None
    finished_at: float | None = None
    attempts: int = 0  # bodies begun so far
    retries: int = 0  # how often a failing body may be run again
    time_limit_s: float | None = None
    deadline_at: float | None = None  # a surplus job runs at normal power too from then on
    resumes_at: float | None = None  # waits for power that is expected then; none: it does not, or nobody knows
    max_temp_c: float | None = None
    priority: int = 5  # 0 to 9, higher first
    due_at: float | None = None  # it waits for this time: to be published again, or as it was submitted for later
    cancelling: bool = False  # asked to stop, has not ended yet
    waiting: str = ""  # why it does not run now, and the rule that ends it, in words
    ahead: int | None = None  # jobs that run before it, as far as is known; 5000 stands for that many or more
    worker: str = ""  # who runs it
    progress: Progress | None = None
    held: WaitReason | None = None  # it has begun and does not go on now; `waiting` says so in words
    energy: Energy | None = None  # what an ended job took
    error: str = ""  # of a failed or cancelled job, or of its last attempt: one line
    after: tuple[str, ...] = ()  # it runs after these
    followers: int = 0  # jobs that run after it, at most 1000 are counted
    parent: str = ""  # the job whose body spawned this one
    children: dict[str, int] = {}  # state -> how many of the jobs that its body spawned; `removed` ones counted too
    files: dict[str, InputFile] = {}  # what it was given, by the names of its inputs
    starts: StartInterval | None = None  # when it is going to start, on a board that looks ahead


class ChildPage(msgspec.Struct, frozen=True, omit_defaults=True):
    """One page of `GET /v1/jobs/ID/children`: what the body of a job spawned, in its order."""

    jobs: tuple[JobView, ...]
    removed: tuple[str, ...] = ()  # ids of those whose results were removed
    next: str | None = None  # `cursor` of the page after this one; none: this is the last


class FollowerPage(msgspec.Struct, frozen=True, omit_defaults=True):
    """One page of `GET /v1/jobs/ID/followers`: the jobs that run after a job, by id."""

    jobs: tuple[JobView, ...]
    next: str | None = None  # `cursor` of the page after this one; none: this is the last


class JobPage(msgspec.Struct, frozen=True, omit_defaults=True):
    """One page of `GET /v1/jobs`, newest first."""

    jobs: tuple[JobView, ...]
    next: str | None = None  # `cursor` of the page after this one; none: this is the last


class FileView(msgspec.Struct, frozen=True, omit_defaults=True):
    """A file for jobs, as `GET /v1/files/UPLOAD` shows it: how much of it has arrived, and its hash."""

    received: int  # bytes that are safe: an upload goes on there
    bytes: int | None = None  # of the whole file; None: nobody said so yet
    sha256: str = ""  # of the stored file, or what it is to have
    stored: bool = False  # all of it is there; a job may name it


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
    """What `PATCH /v1/jobs/ID` changes of an open job."""

    priority: Priority


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """An RFC 9457 problem document; `code` is stable for programs, `detail` is one sentence for people."""

    title: str
    status: int
    detail: str = ""
    type: str = "about:blank"
    code: str = ""
    job_id: str = ""
    awake_at: float | None = None  # of `asleep`: when the board is awake again


class BatchAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """The answer to one line of a batch: an id, or the problem with that line."""

    line: int  # counted from 1
    id: str = ""
    state: JobState | None = None
    problem: Problem | None = None


class TaskView(msgspec.Struct, frozen=True, omit_defaults=True):
    """A kind of job one can ask for."""

    name: str
    summary: str = ""
    description: str = ""
    module: str = ""
    positional: tuple[str, ...] = ()  # names of the arguments that may be given by place, in order
    schema: JsonObject = {}  # JSON Schema (2020-12) of the arguments, as one object of named ones
    power: Power = Power.NORMAL
    retries: int = 0
    time_limit_s: float | None = None
    scope: str = ""  # that a token needs beside `submit`; empty: none
    inputs: dict[str, int] | None = None  # files that it needs, each with its largest size in bytes; None: any


class TaskList(msgspec.Struct, frozen=True, omit_defaults=True):
    """`GET /v1/tasks`: what can be asked for, and which configured modules could not be read."""

    tasks: tuple[TaskView, ...]
    errors: dict[str, str] = {}  # module -> one line


class BrokerState(StrEnum):
    """How the gateway stands with RabbitMQ."""

    CONNECTED = "connected"
    BLOCKED = "blocked"  # a memory or disk alarm of the broker: jobs are accepted, not published
    DOWN = "down"  # jobs are accepted, and published when it is back


class BrokerView(msgspec.Struct, frozen=True, omit_defaults=True):
    """The broker as the gateway sees it."""

    state: BrokerState
    reason: str = ""


class StatusView(msgspec.Struct, frozen=True, omit_defaults=True):
    """`GET /v1/status`: the board in one look."""

    version: str
    broker: BrokerView
    power: PowerStatus  # with the age of each reading now; `unknown` while no governor has spoken
    workers: tuple[WorkerStatus, ...] = ()
    jobs: dict[str, int] = {}  # state -> how many
    tasks: int = 0
    task_errors: dict[str, str] = {}
    host: str = ""
    started_at: float = 0.0
    at: float = 0.0  # the board's clock now
    free_bytes: int | None = None  # on the file system of the state root
    warnings: tuple[str, ...] = ()  # what is amiss with what is kept: a ledger that broke and was made again
    scaling: tuple[ScaledWorkers, ...] = ()  # how many workers of each scaled entry are to run, and why
    awake_at: float | None = None  # the board is about to sleep, and is awake again then; none: it stays awake
    away: dict[str, float] = {}  # nodes that said that they go to sleep, and when each is awake again
    unserved: tuple[str, ...] = ()  # kinds of job and power classes that no worker of this board takes, with the cure
    forecast: ForecastView | None = None  # where the board looks ahead


class Health(StrEnum):
    """Whether the gateway can do what it is there for."""

    OK = "ok"
    DEGRADED = "degraded"  # jobs are accepted and kept, but something holds them up
    FAILING = "failing"  # no job can be accepted


class HealthView(msgspec.Struct, frozen=True):
    """`GET /v1/healthz`: 200, or 503 when failing."""

    health: Health
    reasons: tuple[str, ...] = ()


class About(StrEnum):
    """What an event of `GET /v1/events` is about; the name of the event in the stream, too."""

    JOB = "job"
    POWER = "power"
    WORKER = "worker"
    BROKER = "broker"
    SCHEDULE = "schedule"
    OUTPUT = "output"  # what programs print; only for readers that ask for it
    RESET = "reset"  # events are missing here: look at everything anew, and go on from this one
    DROPPED = "dropped"  # the reader was too slow and is cut off; it may come back with `Last-Event-ID`


class JobChange(msgspec.Struct, frozen=True, omit_defaults=True):
    """A job at the moment of a change; `GET /v1/jobs/ID` tells more."""

    id: str
    task: str
    state: JobState
    submitter: str = ""
    attempts: int = 0  # bodies begun so far, as far as the change tells
    started_at: float | None = None
    finished_at: float | None = None
    due_at: float | None = None  # a retrying job is published again at this time
    worker: str = ""  # who runs it, or ran it
    progress: Progress | None = None
    held: WaitReason | None = None  # it has begun and does not go on now
    cancelling: bool = False  # asked to stop, has not ended yet
    removed: bool = False  # its result is gone
    error: str = ""  # of a failed or cancelled job, or of its last attempt: one line


class WorkerChange(msgspec.Struct, frozen=True, omit_defaults=True):
    """A worker at the moment of a change."""

    name: str
    state: WorkerState  # `stopped` once its process is gone, and for an entry that is scaled: it has no process itself
    queues: tuple[str, ...] = ()
    reason: str = ""
    slots: int = 1
    wanted: int | None = None  # of an entry that is scaled: how many processes are to run; `reason` says why


class ScheduleDeed(StrEnum):
    """What happened to a schedule, or became of its slots."""

    MADE = "made"
    CHANGED = "changed"  # also: paused, resumed
    REMOVED = "removed"
    RAN = "ran"
    COALESCED = "coalesced"
    SKIPPED = "skipped"


class ScheduleChange(msgspec.Struct, frozen=True, omit_defaults=True):
    """A schedule at the moment of a change; `GET /v1/schedules/NAME` tells more."""

    name: str
    deed: ScheduleDeed
    submitter: str = ""
    slot: float | None = None  # the slot, or the last one of several
    count: int = 1  # slots; 100 stands for that many or more
    job: str = ""  # id of the job that was made
    reason: str = ""


class SlotView(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of a slot of a schedule, or of several that follow one another."""

    slot: str  # RFC 3339, in the zone of the schedule; of several the first one
    fate: Fate
    until: str = ""  # of several the last one
    count: int = 1  # 100 stands for that many or more
    job: str = ""  # id of the job that was made
    reason: str = ""  # why it did not run, or ran otherwise than at its time
    decided_at: float = 0.0


class ScheduleView(msgspec.Struct, frozen=True, omit_defaults=True):
    """A schedule as `GET /v1/schedules/NAME` shows it."""

    name: str
    sentence: str  # what it does, in words: `every day at 02:30 (Europe/Berlin); next: ...`
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
    waiting: str = ""  # why no slot is decided now
    next: tuple[str, ...] = ()  # RFC 3339, in its zone; five of one schedule, one in a list
    slots: tuple[SlotView, ...] = ()  # the last twenty, latest first; none in a list


class SchedulePage(msgspec.Struct, frozen=True, omit_defaults=True):
    """One page of `GET /v1/schedules`, by name."""

    schedules: tuple[ScheduleView, ...]
    next: str | None = None  # `cursor` of the page after this one; none: this is the last


class OutputChange(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the program of a job printed; `GET /v1/jobs/ID/output` has all of it that is kept."""

    id: str
    stream: str  # `stdout` or `stderr`
    offset: int  # of the first byte that the text stands for
    text: str  # what is no UTF-8 is replaced
    size_bytes: int  # bytes that the text stands for
    end: int  # printed so far: where it is more than `offset + size_bytes`, the job's output has the rest


class Event(msgspec.Struct, frozen=True, omit_defaults=True):
    """The `data` of one event of `GET /v1/events`: `about` says which one of the members it has."""

    about: About
    at: float = 0.0  # the board's clock
    job: JobChange | None = None
    power: PowerStatus | None = None  # without its readings
    worker: WorkerChange | None = None
    broker: BrokerView | None = None
    schedule: ScheduleChange | None = None
    output: OutputChange | None = None  # of an event about what a program printed
    reason: str = ""  # of `reset` and `dropped`
    id: str = ""  # set by the client: resumes behind this event


class SeriesPoint(msgspec.Struct, frozen=True, omit_defaults=True):
    """One step of `GET /v1/series`: means over it, and what happened in it. A member that is missing is not known."""

    at: float  # when it begins
    charge: float | None = None  # percent
    watts: float | None = None
    solar_watts: float | None = None
    temperature: float | None = None  # of the board, in degrees Celsius
    seconds: dict[str, float] = {}  # power state -> how long; less than the step where the board was off
    started: int = 0  # jobs whose last attempt began, as far as they have ended or run now
    succeeded: int = 0
    failed: int = 0
    cancelled: int = 0
    backlog: int | None = None  # the most jobs without a result at once


class SeriesView(msgspec.Struct, frozen=True, omit_defaults=True):
    """`GET /v1/series`: the last day or month in equal steps, oldest first."""

    span: str
    step_s: float
    points: tuple[SeriesPoint, ...]
    pause_percent: float | None = None  # work pauses at or below this charge; none: no source tells a charge
    resume_percent: float | None = None  # and goes on at or above this one


class PairAsk(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`POST /v1/pair`: somebody wants to be let in with a token of its own making."""

    name: TokenName  # what it calls itself
    sha256: Digest  # of the token, in hex


class PairOpened(msgspec.Struct, frozen=True):
    """A request for which the board has chosen a random number, and is bound to it by the hash."""

    id: str
    commitment: str
    expires_s: float


class PairNonce(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`PUT /v1/pair/ID`: the random number of who asks."""

    nonce: Nonce


class PairCommitted(msgspec.Struct, frozen=True):
    """The board's number. From both, the certificate and the token each end computes the code's binding."""

    nonce: str
    expires_s: float


class PairView(msgspec.Struct, frozen=True, omit_defaults=True):
    """How a request stands: `waiting`, `approved` or `denied`."""

    state: str
    name: str = ""  # of the token, once it is approved
    scopes: tuple[str, ...] = ()
    echo: str = ""  # the end of the code, as the owner typed it; none: nobody typed it (the button)
    expires_s: float = 0.0  # while it waits


class OpenPairing(msgspec.Struct, frozen=True, omit_defaults=True):
    """A request that an admin may approve, who has to type the code that its screen shows."""

    name: str
    address: str
    expires_s: float
    page: bool = False  # asked by a browser, for which nobody compares certificates


class OpenPairings(msgspec.Struct, frozen=True):
    """`GET /v1/pairings`: who asks to be let in, oldest first."""

    pairings: tuple[OpenPairing, ...]


class ProblemCode(StrEnum):
    """Every `code` a problem may carry."""

    BAD_REQUEST = "bad-request"  # the request, its query or its JSON is not as it should be
    BAD_ARGUMENTS = "bad-arguments"  # the kind of job does not take these arguments
    UNKNOWN_TASK = "unknown-task"  # no such kind of job
    UNKNOWN_JOB = "unknown-job"  # no job has this id
    UNKNOWN_FILE = "unknown-file"  # the result has no file of this name
    UNKNOWN_SCHEDULE = "unknown-schedule"  # no schedule has this name
    UNKNOWN_INPUT = "unknown-input"  # 404: a job names a file that has not been uploaded, or is gone
    BAD_SCHEDULE = "bad-schedule"  # 422: a cron expression, zone or name that cannot be read
    JOB_GONE = "job-gone"  # the job has ended and its result was removed
    KEY_REUSED = "key-reused"  # the idempotency key was used before for another body
    WRONG_OFFSET = "wrong-offset"  # 409: an upload goes on elsewhere; `Upload-Offset` says where
    WRONG_HASH = "wrong-hash"  # 409: a file is not what was announced, and is thrown away
    WRONG_STATE = "wrong-state"  # 409: `DELETE ...?if_state=open` on an ended job, `?if_state=final` on an open one
    NOT_IN_TIME = "not-in-time"  # 409: `?only_if_in_time=true`, and the job would not end before its deadline
    UNAUTHENTICATED = "unauthenticated"  # no token, or an unknown one
    FORBIDDEN = "forbidden"  # the token does not have the scope
    UNKNOWN_PAIRING = "unknown-pairing"  # no request to pair has this code or id
    NOT_FOUND = "not-found"  # no such address
    NOT_ALLOWED = "method-not-allowed"  # the address does not have this method
    TOO_LARGE = "too-large"  # larger than `gateway.max_body_bytes` or `gateway.max_batch_bytes`
    ASLEEP = "asleep"  # 503 with Retry-After: the board is about to go down to sleep
    BUSY = "busy"  # 429 or 503 with Retry-After
    STORAGE = "storage"  # 507: the card is full, read-only or failing
    INTERNAL = "internal"  # a fault of the gateway itself
