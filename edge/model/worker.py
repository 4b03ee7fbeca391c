"""The status that a worker writes about itself and the jobs it runs."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from edge.model.power import PowerState


class Progress(msgspec.Struct, frozen=True, omit_defaults=True):
    """The progress that a running job reports. `total` is 0 if the job does not know it."""

    done: float = 0.0
    total: float = 0.0
    note: str = ""


class WaitReason(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why a job is held (it has begun and may not continue now) or parked (it may not begin yet)."""

    since: float  # seconds since the epoch
    reason: str
    until: str = ""  # the rule that ends the wait, in words
    frozen: bool = False  # its process is stopped at any point; otherwise the body waits in a call of its `Job`


class FrozenJob(msgspec.Struct, frozen=True):
    """`/run/edge/frozen-NAME.json`: exists while that worker's process is stopped, written by its freezer."""

    id: str  # id of the job
    pid: int  # process id of the worker
    boot_id: str
    held: WaitReason


class RunningJob(msgspec.Struct, frozen=True):
    """The job a worker runs now."""

    id: str
    task: str
    started_at: float
    attempt: int = 1
    progress: Progress | None = None
    held: WaitReason | None = None


class WorkerState(StrEnum):
    """What a worker does now, by its own report."""

    PAUSED = "paused"  # it consumes nothing; the broker has confirmed that
    IDLE = "idle"
    RUNNING = "running"
    HELD = "held"  # a job has begun and is stopped, because there is not enough power
    DISCONNECTED = "disconnected"
    STOPPED = "stopped"


class Parked(msgspec.Struct, frozen=True):
    """A job that its worker has received and may not begin yet."""

    id: str
    why: WaitReason


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
    reason: str = ""  # why it is blocked: a full card, a failing disk, a head or broker that refuses
    parked: tuple[Parked, ...] = ()  # jobs that it has received and that may not begin yet
    faults: int = 0  # number of errors of the worker itself in handling jobs, since it started
    jobs: tuple[RunningJob, ...] = ()  # running jobs of a worker of threads; its `job` is always None
    slots: int = 1  # largest number of jobs that it runs at once

    @property
    def running(self) -> tuple[RunningJob, ...]:
        """The jobs it runs, for both pools."""
        return self.jobs or ((self.job,) if self.job is not None else ())
