"""The status that a worker writes about itself and the jobs it runs."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from edge.model.power import PowerState


class Progress(msgspec.Struct, frozen=True, omit_defaults=True):
    """How far a running job says it is. `total` 0 means it does not know."""

    done: float = 0.0
    total: float = 0.0
    note: str = ""


class WaitReason(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why a job is held or parked: it has begun and may not continue, or it may not begin yet."""

    since: float  # seconds since the epoch
    reason: str
    until: str = ""  # the rule that ends the wait, in words
    frozen: bool = False  # its process is stopped as it is; otherwise it waits where it asked


class FrozenJob(msgspec.Struct, frozen=True):
    """`/run/edge/frozen-NAME.json`: exists while that worker's process is stopped, written by its freezer."""

    id: str  # of the job
    pid: int  # of the worker
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
    """What a worker does, as it reports itself."""

    PAUSED = "paused"  # consumes nothing; confirmed, not assumed
    IDLE = "idle"
    RUNNING = "running"
    HELD = "held"  # a job has begun and does not go on, for want of power
    DISCONNECTED = "disconnected"
    STOPPED = "stopped"


class Parked(msgspec.Struct, frozen=True):
    """A job that its worker has in hand and does not begin."""

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
    parked: tuple[Parked, ...] = ()  # jobs in hand that may not begin yet
    faults: int = 0  # times that the worker itself failed over a job, since it started
    jobs: tuple[RunningJob, ...] = ()  # those of a worker of threads, whose `job` is always null
    slots: int = 1  # how many jobs it runs at once, at most

    @property
    def running(self) -> tuple[RunningJob, ...]:
        """The jobs it runs, whichever its pool is."""
        return self.jobs or ((self.job,) if self.job is not None else ())
