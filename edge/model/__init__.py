"""Defines the records that pass between processes or lie on the disk. One definition serves wire, file and memory.

Times are seconds since the epoch by the board's clock. A board without a battery-backed clock may be decades off, so
nothing is ordered or expired by these times. Durations are seconds, sizes are bytes.

- `ids`: job ids: random, or derived from an idempotency key or from a parent
- `input`: the input files of a job
- `job`: a job from its submission to its one result
- `pairing`: the short code that a person compares when a machine is paired with the board
- `plan`: the planner's decision: how low the battery may go; work, idle or sleep
- `pool`: the two ways to run bodies, main thread or threads
- `power`: power classes, power states, readings, the governor's report
- `queues`: the queues that the gateway has declared
- `receipts`: sums of the energy that jobs used, by day, kind and submitter
- `schedule`: periodic jobs, and the fate of their slots
- `scaling`: the open jobs by kind, and how many workers must run for them
- `sleep`: the request and the answer between governor and gateway before the board sleeps
- `spawned`: jobs that a body spawns, on their way to the gateway
- `waits`: conditions that a job waits for before it is published to the broker
- `worker`: the status of a worker and of the jobs it runs
"""

from __future__ import annotations

from edge.model.ids import (
    Locality,
    check_job_id,
    derived_job_id,
    file_safe_id,
    fresh_key,
    is_job_id,
    new_job_id,
    spawned_job_id,
)
from edge.model.input import MOST_INPUTS, SHA256_PATTERN, FileName, InputFile, InputFiles, InputName, Sha256
from edge.model.job import (
    FINAL,
    Artifact,
    Attempts,
    Begun,
    Energy,
    Failure,
    FailureCode,
    JobState,
    MaxTemp,
    Metering,
    Result,
    Retries,
    Submission,
    TaskName,
    TimeLimit,
)
from edge.model.plan import Action, Plan
from edge.model.pool import Pool, WorkerPool
from edge.model.power import ALLOWED, Mix, Power, PowerState, PowerStatus, Reading, Verdict
from edge.model.queues import KnownQueues
from edge.model.receipts import DayReceipts, Statement, StatementLine, Took
from edge.model.scaling import RETIRED_EXIT, Backlog, HeadBacklog, OpenJobs, ScaledWorkers, ScaleStep, ScalingStatus
from edge.model.schedule import (
    EVERY_SCHEMA,
    SCHEDULE_NAME_RULE,
    Fate,
    Missed,
    Overlap,
    Schedule,
    is_schedule_name,
)
from edge.model.sleep import LastSleep, NodeAway, SleepAnswer, SleepAsk
from edge.model.spawned import MOST_CHILDREN, SpawnedJob, SpawnedJobs, spawned_fingerprint
from edge.model.waits import MOST_PARENTS, AfterFailure, Delay, Priority, UniqueKey, Waits
from edge.model.worker import FrozenJob, Parked, Progress, RunningJob, WaitReason, WorkerState, WorkerStatus

__all__ = [
    "ALLOWED",
    "EVERY_SCHEMA",
    "FINAL",
    "MOST_CHILDREN",
    "MOST_INPUTS",
    "MOST_PARENTS",
    "RETIRED_EXIT",
    "SCHEDULE_NAME_RULE",
    "SHA256_PATTERN",
    "Action",
    "AfterFailure",
    "Artifact",
    "Attempts",
    "Backlog",
    "Begun",
    "DayReceipts",
    "Delay",
    "Energy",
    "Failure",
    "FailureCode",
    "Fate",
    "FileName",
    "FrozenJob",
    "HeadBacklog",
    "InputFile",
    "InputFiles",
    "InputName",
    "JobState",
    "KnownQueues",
    "LastSleep",
    "Locality",
    "MaxTemp",
    "Metering",
    "Missed",
    "Mix",
    "NodeAway",
    "OpenJobs",
    "Overlap",
    "Parked",
    "Plan",
    "Pool",
    "Power",
    "PowerState",
    "PowerStatus",
    "Priority",
    "Progress",
    "Reading",
    "Result",
    "Retries",
    "RunningJob",
    "ScaleStep",
    "ScaledWorkers",
    "ScalingStatus",
    "Schedule",
    "Sha256",
    "SleepAnswer",
    "SleepAsk",
    "SpawnedJob",
    "SpawnedJobs",
    "Statement",
    "StatementLine",
    "Submission",
    "TaskName",
    "TimeLimit",
    "Took",
    "UniqueKey",
    "Verdict",
    "WaitReason",
    "Waits",
    "WorkerPool",
    "WorkerState",
    "WorkerStatus",
    "check_job_id",
    "derived_job_id",
    "file_safe_id",
    "fresh_key",
    "is_job_id",
    "is_schedule_name",
    "new_job_id",
    "spawned_fingerprint",
    "spawned_job_id",
]
