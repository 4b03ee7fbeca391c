"""A job from its submission to its one result."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta

from edge.core.values import JsonObject, JsonValue
from edge.model.input import InputFiles
from edge.model.power import Power
from edge.model.waits import Waits

TaskName = Annotated[str, Meta(min_length=1, max_length=128, pattern=r"^[A-Za-z_][A-Za-z0-9_.:-]*$")]


Retries = Annotated[int, Meta(ge=0, le=100)]


TimeLimit = Annotated[float, Meta(gt=0, le=31_536_000)]


MaxTemp = Annotated[float, Meta(ge=20, le=125)]


#: A count that the ledger and every reader of JSON can represent.
Count = Annotated[int, Meta(ge=0, le=1 << 53)]


class JobState(StrEnum):
    """Where a job stands. The last three are final and have a result file."""

    ACCEPTED = "accepted"  # durable in the ledger, not yet confirmed by the broker
    QUEUED = "queued"  # durable in the broker too
    RUNNING = "running"  # reported by a worker now; not stored in the ledger
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

    EXCEPTION = "exception"  # the body raised an exception, in its last attempt
    UNKNOWN_TASK = "unknown-task"  # no module in `tasks` has a kind of this name
    BAD_ARGUMENTS = "bad-arguments"  # the kind does not take them, or the message wants what this worker cannot do
    UNDECODABLE = "undecodable"  # the message is not one that Celery makes
    NOT_SERIALISABLE = "not-serialisable"  # JSON cannot represent the value; NaN and infinity neither
    TOO_LARGE = "too-large"  # the value or the files are larger than the board or its head allows
    TIME_LIMIT = "time-limit"  # the body ran longer than its limit, in its last attempt
    CANCELLED = "cancelled"  # somebody asked it to stop
    EXIT = "exit"  # the body called `sys.exit` or closed its worker's files, or its program's exit code was not 0
    SIGNAL = "signal"  # its program was ended by a signal
    OUT_OF_MEMORY = "out-of-memory"  # its program needed more than it may have
    NO_OUTPUT = "no-output"  # its program did not leave a file that it was to leave
    REFUSED = "refused"  # this machine cannot run its program as the owner wants it run
    CRASH_LOOP = "crash-loop"  # its worker process died `worker.max_crashes` times while it ran
    BROWN_OUT = "brown-out"  # the power went `worker.max_early_cuts` times in a row soon after its start
    DEAD_LETTERED = "dead-lettered"  # the broker gave up on the message
    NO_INPUT = "no-input"  # a file that it was given is not there, or is damaged
    DEPENDENCY_FAILED = "dependency-failed"  # a job that it was to run after did not succeed
    INTERNAL = "internal"  # the worker itself failed over the job, in each of several tries


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

    MEASURED = "measured"  # by a power monitor: the whole board, or its part of that while other jobs ran too
    ESTIMATED = "estimated"  # CPU time by `worker.cpu_watts`: its own share; once calibrated, with the board at rest


class Energy(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the run that ended a job took; earlier attempts are not in it."""

    seconds: float  # the body ran, without the time it was held
    cpu_seconds: float
    joules: float = 0.0
    metering: Metering = Metering.ESTIMATED
    held_s: float = 0.0  # begun, but stopped for want of power
    max_c: float | None = None  # hottest reading seen while it ran; None: no sensor
    throttled: bool | None = None  # too little voltage or too hot while it ran; None: no detector
    sun_joules: float = 0.0  # of `joules`, as far as it was known where they came from
    battery_joules: float = 0.0  # of `joules`, from the battery
    mains_joules: float = 0.0  # of `joules`, from the mains
    shared: bool = False  # it ran in a thread beside others: `joules` is its own share, without the board at rest
    peak_bytes: int | None = None  # memory at the peak, of a program; of its worker, where workers are scaled
    read_bytes: int | None = None  # from disks, by a program with all it started
    written_bytes: int | None = None  # to disks, the same


class Result(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a job ended with; written once, never changed."""

    id: str
    task: str
    state: JobState
    value: JsonValue = None
    failure: Failure | None = None
    files: tuple[Artifact, ...] = ()
    folder: str = ""  # name of the folder of `files`, beside the result file
    args: list[JsonValue] = []
    kwargs: JsonObject = {}
    started_at: float | None = None
    finished_at: float = 0.0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    attempts: Count = 1
    worker: str = ""
    original_id: str = ""  # set when the id on the wire could not name a file
    submitter: str = ""  # empty: it did not come through the gateway
    energy: Energy | None = None  # None: no body ran
    children: tuple[str, ...] = ()  # ids of the jobs that its body spawned
    format: int = 1


class Submission(Waits, msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A job as a submitter asks for it."""

    task: TaskName
    args: list[JsonValue] = []
    kwargs: JsonObject = {}
    power: Power | None = None  # None: the task's own
    retries: Retries | None = None
    time_limit_s: TimeLimit | None = None
    deadline_s: TimeLimit | None = None  # a `surplus` job may run at normal power so long after it was accepted
    max_temp_c: MaxTemp | None = None  # does not start or go on while the board is hotter
    files: InputFiles = {}  # uploaded before


class Begun(msgspec.Struct, frozen=True, omit_defaults=True):
    """A start that was made durable before the body ran; no first delivery pays for one."""

    boot_id: str
    checkpoint: str = ""  # what the job had saved by then, as a hash; empty: nothing
    lasted: bool = False  # it ran for longer than `worker.early_cut_s`


class Attempts(msgspec.Struct, frozen=True, omit_defaults=True):
    """`attempts/ID.json`: what happened to the earlier deliveries of a job that has no result yet."""

    id: str
    deliveries: Count = 0
    crashes: Count = 0  # its worker died while it ran
    failures: Count = 0  # it raised and retries were left
    ended: tuple[str, ...] = ()  # how each ended, oldest first, the last 50
    last_error: str = ""
    begun: Begun | None = None  # the attempt whose end is not known yet
    early_cuts: Count = 0  # power cuts in a row soon after the start, with nothing saved in between
    suspects: Count = 0  # bodies, this job's among them, that ran when their worker of threads crashed
