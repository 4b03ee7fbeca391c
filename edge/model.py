"""The records that cross a process or a disk: one definition for wire, file and memory.

Times are seconds since the epoch as the board believed them (a board without a clock may be decades off:
nothing is ordered or expired by them); durations are seconds; sizes are bytes.
"""

from __future__ import annotations

import re
import uuid
from enum import StrEnum
from hashlib import sha256
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from edge.errors import BadJobId

_JOB_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")

TaskName = Annotated[str, Meta(min_length=1, max_length=128, pattern=r"^[A-Za-z_][A-Za-z0-9_.:-]*$")]
Retries = Annotated[int, Meta(ge=0, le=100)]
TimeLimit = Annotated[float, Meta(gt=0, le=31_536_000)]
MaxTemp = Annotated[float, Meta(ge=20, le=125)]


class Power(StrEnum):
    """The power class of a job: how good power must be before it starts."""

    ALWAYS = "always"
    NORMAL = "normal"
    SURPLUS = "surplus"


class PowerState(StrEnum):
    """What the governor decided about the supply."""

    SURPLUS = "surplus"
    NORMAL = "normal"
    LOW = "low"
    CRITICAL = "critical"
    UNKNOWN = "unknown"
    PAUSED = "paused"  # by hand, with the battery no reason


#: Which classes may start in which state; `unknown` stands for a governor that has not spoken.
ALLOWED: dict[PowerState, tuple[Power, ...]] = {
    PowerState.SURPLUS: (Power.ALWAYS, Power.NORMAL, Power.SURPLUS),
    PowerState.NORMAL: (Power.ALWAYS, Power.NORMAL),
    PowerState.LOW: (Power.ALWAYS,),
    PowerState.CRITICAL: (),
    PowerState.UNKNOWN: (),
    PowerState.PAUSED: (),
}


class JobState(StrEnum):
    """Where a job stands. The last three are final and have a result file."""

    ACCEPTED = "accepted"  # durable in the ledger, not yet confirmed by the broker
    QUEUED = "queued"  # durable in the broker too
    RUNNING = "running"  # a worker says so now; not stored
    RETRYING = "retrying"  # failed, will be published again when due
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def final(self) -> bool:
        """True once the job has its one result."""
        return self in FINAL


FINAL = frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED})


class FailureCode(StrEnum):
    """Why a job has no value; stable for programs, while the message is for people."""

    EXCEPTION = "exception"
    UNKNOWN_TASK = "unknown-task"
    BAD_ARGUMENTS = "bad-arguments"
    UNDECODABLE = "undecodable"
    NOT_SERIALISABLE = "not-serialisable"
    TOO_LARGE = "too-large"
    TIME_LIMIT = "time-limit"
    CANCELLED = "cancelled"
    EXIT = "exit"
    CRASH_LOOP = "crash-loop"
    BROWN_OUT = "brown-out"
    DEAD_LETTERED = "dead-lettered"


class Failure(msgspec.Struct, frozen=True):
    """Why a job has no value."""

    code: FailureCode
    message: str
    type: str = ""
    traceback: str = ""


class Artifact(msgspec.Struct, frozen=True):
    """A file a job left beside its result."""

    name: str
    size_bytes: int
    sha256: str


class Metering(StrEnum):
    """Where the joules of a job come from."""

    MEASURED = "measured"  # by a power monitor: the whole board, while the job ran
    ESTIMATED = "estimated"  # CPU time by `worker.cpu_watts`: the job's own share, roughly


class Energy(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the run that ended a job took; earlier attempts are not in it."""

    seconds: float  # the body ran, without the time it was held
    cpu_seconds: float
    joules: float = 0.0
    metering: Metering = Metering.ESTIMATED
    held_s: float = 0.0  # begun, but stopped for want of power
    max_c: float | None = None  # hottest reading seen while it ran; None: no sensor
    throttled: bool | None = None  # too little voltage or too hot while it ran; None: no detector


class Result(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a job ended with; written once, never changed."""

    id: str
    task: str
    state: JobState
    value: Any = None
    failure: Failure | None = None
    files: tuple[Artifact, ...] = ()
    folder: str = ""  # name of the folder of `files`, beside the result file
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    started_at: float | None = None
    finished_at: float = 0.0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    attempts: int = 1
    worker: str = ""
    original_id: str = ""  # set when the id on the wire could not name a file
    submitter: str = ""  # empty: it did not come through the gateway
    energy: Energy | None = None  # None: no body ran
    format: int = 1


class Submission(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A job as a submitter asks for it."""

    task: TaskName
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    power: Power | None = None  # None: the task's own
    retries: Retries | None = None
    time_limit_s: TimeLimit | None = None
    deadline_s: TimeLimit | None = None  # a `surplus` job may run at normal power so long after it was accepted
    max_temp_c: MaxTemp | None = None  # does not start or go on while the board is hotter


class Progress(msgspec.Struct, frozen=True, omit_defaults=True):
    """How far a running job says it is. `total` 0 means it does not know."""

    done: float = 0.0
    total: float = 0.0
    note: str = ""


class Held(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why a job that has begun does not go on now."""

    since: float
    reason: str
    until: str = ""  # the rule that ends it, in words
    frozen: bool = False  # its process is stopped as it is; otherwise it waits where it asked


class Frozen(msgspec.Struct, frozen=True):
    """`/run/edge/frozen-NAME.json`: there while that worker's process is stopped, written by its freezer."""

    id: str  # of the job
    pid: int  # of the worker
    boot_id: str
    held: Held


class RunningJob(msgspec.Struct, frozen=True):
    """The job a worker runs now."""

    id: str
    task: str
    started_at: float
    attempt: int = 1
    progress: Progress | None = None
    held: Held | None = None


class WorkerState(StrEnum):
    """What a worker does, by its own word."""

    PAUSED = "paused"  # consumes nothing; confirmed, not assumed
    IDLE = "idle"
    RUNNING = "running"
    HELD = "held"  # a job has begun and does not go on, for want of power
    DISCONNECTED = "disconnected"
    STOPPED = "stopped"


class Parked(msgspec.Struct, frozen=True):
    """A job that its worker has in hand and does not begin."""

    id: str
    why: Held


class WorkerStatus(msgspec.Struct, frozen=True):
    """`/run/edge/worker-NAME.json`: written by that worker at each change."""

    name: str
    pid: int
    boot_id: str
    state: WorkerState
    queues: tuple[str, ...] = ()
    power: PowerState = PowerState.UNKNOWN
    job: RunningJob | None = None
    started_at: float = 0.0
    updated_at: float = 0.0
    reason: str = ""  # why it holds, when power is not the reason: a full card, a failing disk
    parked: tuple[Parked, ...] = ()  # at most one of each class, which waits for it


class Verdict(StrEnum):
    """What one reading says about power; `ok` is no objection, `surplus` a claim that there is more than enough."""

    SURPLUS = "surplus"
    OK = "ok"
    LOW = "low"
    CRITICAL = "critical"
    UNKNOWN = "unknown"


class Reading(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a source measured: a value in its unit, how old it is, and what it means."""

    source: str  # its name in `edge.yaml`
    what: str  # charge, volts, amps, watts, solar_watts, runtime, phase, supply, undervoltage, temperature, ...
    value: float | None = None  # None exactly when the verdict is unknown
    unit: str = ""
    age_s: float = 0.0
    verdict: Verdict = Verdict.UNKNOWN
    reason: str = ""  # why it is unknown, or what the number does not say


class PowerStatus(msgspec.Struct, frozen=True):
    """`/run/edge/power.json`: the governor's decision, with the reason and the rule that ends it."""

    state: PowerState
    code: str  # stable, for programs
    reason: str  # a sentence with the numbers
    until: str = ""  # the rule that ends the state, in words
    since: float = 0.0
    at: float = 0.0
    boot_id: str = ""
    pid: int = 0
    monotonic: float = 0.0  # CLOCK_MONOTONIC when written, the same for all processes of a boot
    valid_s: float = 0.0  # older than this: treat as unknown; 0: valid while the governor lives
    readings: tuple[Reading, ...] = ()  # what the decision was made from, with the verdict of the policy
    resumes_at: float | None = None  # wall clock: normal power expected, where that is a matter of time alone


class Begun(msgspec.Struct, frozen=True, omit_defaults=True):
    """A start that was made durable before the body ran; no first delivery pays for one."""

    boot_id: str
    checkpoint: str = ""  # what the job had saved by then, as a hash; empty: nothing
    lasted: bool = False  # it ran for longer than `worker.early_cut_s`


class Attempts(msgspec.Struct, frozen=True, omit_defaults=True):
    """`attempts/ID.json`: what happened to the earlier deliveries of a job that has no result yet."""

    id: str
    deliveries: int = 0
    crashes: int = 0  # its worker died while it ran
    failures: int = 0  # it raised and retries were left
    ended: tuple[str, ...] = ()  # how each ended, oldest first, the last 50
    last_error: str = ""
    begun: Begun | None = None  # the attempt whose end is not known yet
    early_cuts: int = 0  # so often in a row the power went soon after the start, with nothing saved since


def is_job_id(text: str) -> bool:
    """True when `text` can name the files of a job."""
    return _JOB_ID.fullmatch(text) is not None


def check_job_id(job_id: str) -> str:
    """The id itself when it can name a file; raises BadJobId."""
    if not isinstance(job_id, str) or not is_job_id(job_id):
        raise BadJobId(job_id)
    return job_id


def new_job_id() -> str:
    """A random id, never from the clock: a board may boot in 1970 every day."""
    return str(uuid.uuid4())


def derived_job_id(submitter: str, key: str) -> str:
    """The one id that belongs to a submitter's idempotency key (a version 8 UUID of its hash)."""
    digest = sha256(f"{submitter}\0{key}".encode("utf-8", "surrogatepass")).digest()[:16]
    octets = bytearray(digest)
    octets[6] = octets[6] & 0x0F | 0x80
    octets[8] = octets[8] & 0x3F | 0x80
    return str(uuid.UUID(bytes=bytes(octets)))


def file_safe_id(wire_id: str) -> str:
    """A usable id for whatever stood in a message: itself, or one derived from it."""
    if is_job_id(wire_id):
        return wire_id
    return "x-" + sha256(wire_id.encode("utf-8", "surrogatepass")).hexdigest()[:32]
