"""The gateway's report of the open jobs, and the governor's decision about the number of workers."""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from edge.model.pool import Pool
from edge.model.power import Power

#: Exit code of a worker that the governor has retired. Its supervisor does not restart it.
RETIRED_EXIT = 100


class OpenJobs(msgspec.Struct, frozen=True, omit_defaults=True):
    """The open jobs of one kind and power class, and the learned cost of such a job."""

    kind: str
    power: Power
    jobs: int  # jobs in a queue, fetched by a worker or running; a job that waits for a retry counts when it is due
    pool: Pool = Pool.MAIN
    owner: str = ""  # name of the only worker that takes this kind
    seconds: float | None = None  # running time of a body
    peak_bytes: int | None = None  # peak memory of the worker that runs such a job
    busy: float | None = None  # share of one core that a body uses


class Backlog(msgspec.Struct, frozen=True):
    """`run/backlog/backlog.json`: written by the gateway when the open jobs change, at most once a second.

    On a node it is `run/head/backlog.json`, written by the worker that reads the backlog of the head.
    """

    boot_id: str
    pid: int  # process id of the writer; the file is valid only while this process lives
    monotonic: float  # monotonic clock at which the figures were right
    rows: tuple[OpenJobs, ...] = ()


class HeadBacklog(msgspec.Struct, frozen=True):
    """The answer of a head to a node that scales its workers."""

    rows: tuple[OpenJobs, ...] = ()


class ScaleStep(msgspec.Struct, frozen=True):
    """One decision that changed the number of workers."""

    at: float  # seconds since the epoch
    wanted: int
    why: str


class ScaledWorkers(msgspec.Struct, frozen=True, omit_defaults=True):
    """How many processes of one entry of `workers:` must run."""

    name: str  # name of the entry
    wanted: int
    running: int  # living processes; in the file, those that lived when it was written
    why: str  # one sentence
    workers: tuple[str, ...] = ()  # names of the processes that must run; any other process of this entry retires
    failing: tuple[str, ...] = ()  # processes in `workers` that crash again and again, or do not get ready in time
    until: float | None = None  # when the number that a person set ends, in seconds since the epoch
    steps: tuple[ScaleStep, ...] = ()  # the last decisions, newest first

    def seen(self, living: Collection[str]) -> ScaledWorkers:
        """Return this record with `running` counted from the names in `living`.

        The governor does not notice when an idle worker dies, so the number in the file may be old.
        """
        return msgspec.structs.replace(self, running=sum(name in living for name in self.workers))


class ScalingStatus(msgspec.Struct, frozen=True):
    """`run/scaling/workers.json`: written by the governor when a decision changes it."""

    boot_id: str
    at: float
    entries: tuple[ScaledWorkers, ...] = ()

    def retires(self, entry: str, worker: str) -> bool:
        """Return True if `worker`, a process of `entry`, must end after its present job."""
        return any(each.name == entry and worker not in each.workers for each in self.entries)
