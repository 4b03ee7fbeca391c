"""The records that cross a process or a disk: one definition for wire, file and memory.

Times are seconds since the epoch as the board believed them (a board without a clock may be decades off:
nothing is ordered or expired by them); durations are seconds; sizes are bytes.

- `ids`: job ids: random, derived from an idempotency key, or from a parent
- `input`: the files that a job is given
- `job`: a job from its submission to its one result
- `pairing`: the short code that a person compares when a laptop is let in
- `plan`: what the planner decided: how low the battery may go; work, idle or sleep
- `pool`: where the bodies of a kind of job run
- `power`: power classes, power states, readings, the governor's report
- `queues`: which queues the gateway has declared
- `receipts`: what jobs took from the supply, summed up by day, kind and submitter
- `schedule`: periodic jobs, and what becomes of their slots
- `scaling`: the open jobs by kind, and how many workers are to run for them
- `sleep`: what governor and gateway tell each other before the board sleeps
- `spawned`: jobs that a body spawns, on their way to the gateway
- `waits`: what a job waits for before the broker gets it
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
