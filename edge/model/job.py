"""The records of a job, from its submission to its one result."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta

from edge.core.values import JsonObject, JsonValue
from edge.model.input import InputFiles
from edge.model.power import Power
from edge.model.waits import Waits

#: Name of a kind of job.
TaskName = Annotated[str, Meta(min_length=1, max_length=128, pattern=r"^[A-Za-z_][A-Za-z0-9_.:-]*$")]
#: How many times a failed body is run again.
Retries = Annotated[int, Meta(ge=0, le=100)]
#: Seconds, at most a year.
TimeLimit = Annotated[float, Meta(gt=0, le=31_536_000)]
#: Degrees Celsius.
MaxTemp = Annotated[float, Meta(ge=20, le=125)]


#: A count that the ledger and every reader of JSON can represent.
Count = Annotated[int, Meta(ge=0, le=1 << 53)]


class JobState(StrEnum):
    """The state of a job. The last three states are final: the job has a result file."""

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
    """Why a job has no value. Codes are stable, for programs; the message of a `Failure` is for people."""

    EXCEPTION = "exception"  # the body raised an exception, in its last attempt
    UNKNOWN_TASK = "unknown-task"  # no module in `tasks` has a kind of this name
    BAD_ARGUMENTS = "bad-arguments"  # the kind does not accept them, or the message requests an unsupported feature
    UNDECODABLE = "undecodable"  # the message is not in Celery's format
    NOT_SERIALISABLE = "not-serialisable"  # JSON cannot represent the value, for example NaN or infinity
    TOO_LARGE = "too-large"  # the value or the files are larger than the board or its head allows
    TIME_LIMIT = "time-limit"  # the body ran longer than its limit, in its last attempt
    CANCELLED = "cancelled"  # the job was cancelled on request
    EXIT = "exit"  # the body called `sys.exit` or closed files of the worker, or its program's exit code was not 0
    SIGNAL = "signal"  # its program was ended by a signal
    OUT_OF_MEMORY = "out-of-memory"  # its program needed more memory than its limit
    NO_OUTPUT = "no-output"  # its program did not write one of its output files
    REFUSED = "refused"  # this machine cannot enforce the limits that the owner has set for the program
    CRASH_LOOP = "crash-loop"  # its worker process died `worker.max_crashes` times while it ran
    BROWN_OUT = "brown-out"  # `worker.max_early_cuts` power cuts in a row came soon after the body started
    DEAD_LETTERED = "dead-lettered"  # the broker moved it to the dead-letter queue
    NO_INPUT = "no-input"  # one of its input files is missing or damaged
    DEPENDENCY_FAILED = "dependency-failed"  # a job that it waits for did not succeed
    INTERNAL = "internal"  # an error in the worker itself, in each of several tries


class Failure(msgspec.Struct, frozen=True):
    """Why a job has no value."""

    code: FailureCode
    message: str
    type: str = ""
    traceback: str = ""


class Artifact(msgspec.Struct, frozen=True):
    """A file that belongs to the result of a job."""

    name: str
    size_bytes: int
    sha256: str


class Metering(StrEnum):
    """How the joules of a job were determined."""

    MEASURED = "measured"  # by a power monitor: energy of the whole board, divided among jobs that run together
    ESTIMATED = "estimated"  # CPU time multiplied by `worker.cpu_watts`; includes the idle board after a calibration


class Energy(msgspec.Struct, frozen=True, omit_defaults=True):
    """Energy and resources that the last attempt of a job used. Earlier attempts are not included."""

    seconds: float  # running time of the body, without the time in which it was held
    cpu_seconds: float
    joules: float = 0.0
    metering: Metering = Metering.ESTIMATED
    held_s: float = 0.0  # seconds in which the body was held, because there was not enough power
    max_c: float | None = None  # highest temperature while it ran, in degrees Celsius; None without a sensor
    throttled: bool | None = None  # True if voltage was too low or the board too hot while it ran; None if not known
    sun_joules: float = 0.0  # part of `joules` from the sun, as far as the origin was known
    battery_joules: float = 0.0  # part of `joules` from the battery
    mains_joules: float = 0.0  # part of `joules` from the mains
    shared: bool = False  # the body ran in a thread beside others: `joules` is its own share, without the idle board
    peak_bytes: int | None = None  # peak memory of its program, or of its worker if workers are scaled
    read_bytes: int | None = None  # bytes that its program and all child processes read from disks
    written_bytes: int | None = None  # bytes that its program and all child processes wrote to disks


class Result(msgspec.Struct, frozen=True, omit_defaults=True):
    """The one result of a job. It is written once and never changes."""

    id: str
    task: str
    state: JobState
    value: JsonValue = None
    failure: Failure | None = None
    files: tuple[Artifact, ...] = ()
    folder: str = ""  # name of the folder with `files`; it is in the folder of the result file
    args: list[JsonValue] = []
    kwargs: JsonObject = {}
    started_at: float | None = None
    finished_at: float = 0.0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    attempts: Count = 1
    worker: str = ""
    original_id: str = ""  # id in the message, if it is not a valid file name
    submitter: str = ""  # name of the token that submitted it; empty if it did not come through the gateway
    energy: Energy | None = None  # None if no body ran
    children: tuple[str, ...] = ()  # ids of the jobs that its body spawned
    format: int = 1


class Submission(Waits, msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The body of `POST /v1/jobs`: a job and its settings."""

    task: TaskName
    args: list[JsonValue] = []
    kwargs: JsonObject = {}
    power: Power | None = None  # if None, the power class of the task
    retries: Retries | None = None
    time_limit_s: TimeLimit | None = None
    deadline_s: TimeLimit | None = None  # a `surplus` job may run at normal power this long after it was accepted
    max_temp_c: MaxTemp | None = None  # the job does not start or continue while the board is hotter
    files: InputFiles = {}  # files that were uploaded before


class Begun(msgspec.Struct, frozen=True, omit_defaults=True):
    """Record of a start, written to disk before the body ran. The first delivery of a job has none, to save a write."""

    boot_id: str
    checkpoint: str = ""  # hash of the checkpoint at this start; empty if there was none
    lasted: bool = False  # the body ran longer than `worker.early_cut_s`


class Attempts(msgspec.Struct, frozen=True, omit_defaults=True):
    """`attempts/ID.json`: a record of the earlier deliveries of a job that has no result yet."""

    id: str
    deliveries: Count = 0
    crashes: Count = 0  # times that its worker died while it ran
    failures: Count = 0  # times that it failed and had retries left
    ended: tuple[str, ...] = ()  # how the last 50 attempts ended, oldest first
    last_error: str = ""
    begun: Begun | None = None  # the attempt whose end is not known yet
    early_cuts: Count = 0  # power cuts in a row soon after the start, without a new checkpoint
    suspects: Count = 0  # number of bodies, this one included, that ran in the thread worker when it crashed
