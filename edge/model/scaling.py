"""What the gateway tells of the open jobs, and what the governor decides of the number of workers by it."""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from edge.model.pool import Pool
from edge.model.power import Power

#: Exit code of a worker that the governor does not want any more: nobody starts it again by itself.
RETIRED_EXIT = 100


class OpenJobs(msgspec.Struct, frozen=True, omit_defaults=True):
    """The open jobs of one kind and power class, with what such a job costs as far as that is known."""

    kind: str
    power: Power
    jobs: int  # in a queue, in the hand of a worker, or running; those that wait for a retry count once it is due
    pool: Pool = Pool.MAIN
    owner: str = ""  # name of the only worker that takes this kind
    seconds: float | None = None  # that a body ran
    peak_bytes: int | None = None  # of the worker that ran it
    busy: float | None = None  # share of one core


class Backlog(msgspec.Struct, frozen=True):
    """`run/backlog/backlog.json`: written by the gateway when it changes, at most once a second.

    On a node `run/head/backlog.json`, written by the worker that asks the head.
    """

    boot_id: str
    pid: int  # of the writer: what it wrote counts while it lives
    monotonic: float  # when it was true
    rows: tuple[OpenJobs, ...] = ()


class HeadBacklog(msgspec.Struct, frozen=True):
    """What a head answers to a node that scales its workers."""

    rows: tuple[OpenJobs, ...] = ()


class ScaleStep(msgspec.Struct, frozen=True):
    """One decision that changed the count."""

    at: float  # seconds since the epoch
    wanted: int
    why: str


class ScaledWorkers(msgspec.Struct, frozen=True, omit_defaults=True):
    """How many processes of one entry of `workers:` are to run."""

    name: str  # of the entry
    wanted: int
    running: int  # those that live; in the file, those that lived when it was written
    why: str  # one sentence
    workers: tuple[str, ...] = ()  # names of the processes that are to run; any other one of this entry retires
    failing: tuple[str, ...] = ()  # those of them that crash again and again, or do not get ready in time
    until: float | None = None  # set by hand until then, in seconds since the epoch
    steps: tuple[ScaleStep, ...] = ()  # the last decisions, newest first

    def seen(self, living: Collection[str]) -> ScaledWorkers:
        """Return this with those of `living` as `running`.

        Nobody tells the governor that an idle worker has died, so the number in the file may be old.
        """
        return msgspec.structs.replace(self, running=sum(name in living for name in self.workers))


class ScalingStatus(msgspec.Struct, frozen=True):
    """`run/scaling/workers.json`: written by the governor when a decision brings news."""

    boot_id: str
    at: float
    entries: tuple[ScaledWorkers, ...] = ()

    def retires(self, entry: str, worker: str) -> bool:
        """True when the worker, a process of this entry, is to end between two jobs."""
        return any(each.name == entry and worker not in each.workers for each in self.entries)
