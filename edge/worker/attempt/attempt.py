"""One attempt at a job, from its message to its acknowledgement, with the stage it has reached."""

from __future__ import annotations

import time
from enum import StrEnum
from typing import Any

import msgspec

from edge.core.values import JsonObject, JsonValue
from edge.model import Attempts, Energy, Failure, FailureCode, JobState, Result, WaitReason
from edge.results.commit import Written
from edge.results.staging import Staging
from edge.worker.api.checkpoint import Checkpoint
from edge.worker.api.kind import TaskKind
from edge.worker.api.spawner import Spawner
from edge.worker.attempt.delivery import Delivery, clean
from edge.worker.attempt.outcome import Outcome
from edge.worker.power.meter import Meter


class Stage(StrEnum):
    """The next step of an attempt. After a disk error the attempt keeps its stage and continues there."""

    ADMITTING = "admitting"  # may its body run?
    RUNNING = "running"  # its body runs, or has just ended
    COMMITTING = "committing"  # it has a result, which must become durable
    RETRYING = "retrying"  # it failed with retries left; the failure must become durable
    DONE = "done"  # nothing is left to do here; the message is acknowledged, unless the body was interrupted


class Attempt:
    """A message in the worker, from its delivery to its acknowledgement. Belongs to the main thread.

    Each method notes one event and sets the stage that follows.
    """

    def __init__(self, delivery: Delivery) -> None:
        self.delivery = delivery
        self._copies: list[Delivery] = []  # further copies of the message that came while the body ran
        self.stage = Stage.ADMITTING
        self.earlier: Attempts | None = None  # earlier attempts at the job
        self.task: TaskKind | None = None
        self.bound: JsonObject = {}  # the arguments of the body
        self.staging: Staging | None = None  # the folder of its artifacts
        self.meter: Meter | None = None  # measures the energy of the running body
        self.checkpoint: Checkpoint | None = None  # saves the progress of the body
        self.spawner: Spawner | None = None  # submits the jobs that the body spawns
        self.outcome: Outcome | None = None
        self.energy: Energy | None = None
        self.error = ""  # why the body failed, if the job will be tried again
        self.result: Result | None = None
        self.written: Written | None = None  # the result on the disk, not durable yet
        self.files_lost = False  # a sync of the artifacts failed: memory may show content that the disk does not have
        self.needs_space = False  # a full disk ended the body: it runs again when there is room
        self.parked: WaitReason | None = None  # why it may not begin yet, although its class may
        self.not_before = 0.0  # monotonic seconds; a parked attempt is not tried again before that time
        self.job_ended = False  # the job has its one result, so no other attempt follows
        self.faults = 0  # how often the worker itself failed while it handled this attempt

    @property
    def id(self) -> str:
        """The job's id."""
        return self.delivery.id

    @property
    def deliveries(self) -> tuple[Delivery, ...]:
        """The message, and copies of it that came while the body ran. All of them are acknowledged at the end."""
        return (self.delivery, *self._copies)

    @property
    def number(self) -> int:
        """Ordinal of this attempt, counted from 1."""
        return 1 + (self.earlier.deliveries if self.earlier is not None else 0)

    @property
    def begins(self) -> bool:
        """True while its body still has to begin, for the first time or again. Power decides when it may."""
        return self.stage is Stage.ADMITTING

    @property
    def size_bytes(self) -> int:
        """Size of the result that is written but not durable yet; 0 if there is none."""
        return self.written.size_bytes if self.written is not None else 0

    def __str__(self) -> str:
        return f"Task {self.delivery.task}[{self.delivery.id}]"

    # --- admission ----------------------------------------------------------------------------------------

    def park(self, why: WaitReason, *, not_before: float = 0.0) -> None:
        """Note that the body may not begin yet. The time of the first call is kept as `since` of the reason.

        Args:
            why: the reason; its `since` is ignored.
            not_before: when to try again at the earliest, in monotonic seconds.
        """
        since = self.parked.since if self.parked is not None else time.time()
        self.parked, self.not_before = msgspec.structs.replace(why, since=since), not_before

    def failed_inside(self) -> int:
        """Count a failure of the worker itself. Return the number of such failures so far."""
        self.faults += 1
        return self.faults

    def recall(self, earlier: Attempts | None) -> None:
        """Set the record of the earlier attempts."""
        self.earlier = earlier

    def admit(self, task: TaskKind, bound: JsonObject, staging: Staging) -> None:
        """Note that the body will run now."""
        self.task, self.bound, self.staging = task, bound, staging
        self.parked = None
        self.stage = Stage.RUNNING

    # --- the body -----------------------------------------------------------------------------------------

    def begin(self, meter: Meter, checkpoint: Checkpoint | None) -> None:
        """Note that the body begins."""
        self.meter, self.checkpoint = meter, checkpoint

    def spawns(self, spawner: Spawner) -> None:
        """Set the spawner of the body."""
        self.spawner = spawner

    def join(self, copy: Delivery) -> None:
        """Add a copy of the message that came while the body runs: after a lost connection all messages come again."""
        self._copies.append(copy)

    @property
    def has_leftovers(self) -> bool:
        """True when a record of attempts or a checkpoint of the job may exist and has to be removed."""
        first = self.earlier is None and not self.delivery.redeliveries and not self.delivery.failures
        return not first or self.outcome is None or (self.checkpoint is not None and self.checkpoint.there)

    def end(self, outcome: Outcome, energy: Energy) -> None:
        """Note how the body ended and which energy it used."""
        self.outcome, self.energy = outcome, energy

    def run_again(self, *, needs_space: bool = False) -> None:
        """Drop what this run made, as the body has to run again; with `needs_space` only when the disk has room."""
        if self.staging is not None:
            self.staging.discard()
        self.staging = self.outcome = self.energy = self.meter = self.result = self.written = self.spawner = None
        self.files_lost = False
        self.needs_space = needs_space
        self.stage = Stage.ADMITTING

    def space_is_free(self) -> None:
        """Note that the disk has room again."""
        self.needs_space = False

    # --- its end ------------------------------------------------------------------------------------------

    def retry(self, error: str) -> None:
        """Note that the body failed with retries left, and remove its files."""
        self.drop_files()
        self.error = error
        self.stage = Stage.RETRYING

    def conclude(self, result: Result) -> None:
        """Set the result; the job has ended once it is durable."""
        self.parked = None
        self.result = result
        self.stage = Stage.COMMITTING

    def drop_files(self) -> None:
        """Remove the artifacts. Call it before the result is made, because the result must not name them."""
        if self.staging is not None:
            self.staging.discard()
            self.staging = None

    def hand_over(self) -> None:
        """Make the spawned jobs durable. Call it before a result or failure becomes durable. Raises OSError."""
        if self.spawner is not None:
            self.spawner.flush()

    def wrote(self, written: Written) -> None:
        """Note that the result is on the disk, not durable yet."""
        self.written = written

    def refused(self, *, files_lost: bool) -> None:
        """Note that the disk or the head refused the result, so it has to be written again."""
        self.written = None
        self.files_lost = files_lost

    def finish(self, *, job_ended: bool = True) -> None:
        """Note that nothing is left to do for this attempt. Without `job_ended` another attempt at the job follows."""
        self.parked, self.job_ended = None, job_ended
        self.stage = Stage.DONE

    # `Any`: the fields of a `Result` have many types.
    def make_result(self, failure: Failure | None, *, worker: str, **fields: Any) -> Result:
        """Return the job's result: a failure if `failure` is set, else a success. `fields` are set in the result."""
        state = JobState.SUCCEEDED
        if failure is not None:
            state = JobState.CANCELLED if failure.code is FailureCode.CANCELLED else JobState.FAILED
        delivery = self.delivery
        args, kwargs = _storable(delivery.args, delivery.kwargs)
        return Result(
            delivery.id,
            delivery.task,
            state,
            failure=failure,
            args=args,
            kwargs=kwargs,
            finished_at=time.time(),
            attempts=self.number,
            worker=worker,
            original_id=delivery.original_id,
            submitter=delivery.submitter,
            children=self.spawner.children if self.spawner is not None else (),
            **fields,
        )


def _storable(args: list[JsonValue], kwargs: JsonObject) -> tuple[list[JsonValue], JsonObject]:
    """Return the arguments for the result. Arguments that JSON cannot represent are replaced by their `repr`."""
    try:
        msgspec.json.encode((args, kwargs))
    except Exception:
        try:
            return [clean(repr(args))[:1000]], {"kwargs": clean(repr(kwargs))[:1000]}
        except Exception:  # nested too deeply for `repr`
            return [], {}
    return args, kwargs
