"""One attempt at a job, from its message to its acknowledgement, and the stage it has reached."""

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
from edge.worker.attempt.delivery import Delivery, clean
from edge.worker.attempt.outcome import Outcome
from edge.worker.power.meter import Meter


class Stage(StrEnum):
    """What is to be done next with an attempt. A disk error leaves the stage as it is: there it is resumed."""

    ADMITTING = "admitting"  # may its body run?
    RUNNING = "running"  # its body runs, or has just ended
    COMMITTING = "committing"  # it has a result, which is to become durable
    RETRYING = "retrying"  # it failed; the failure is to become durable, and another message runs the job again
    DONE = "done"  # nothing of it is left to do but the acknowledgement


class Attempt:
    """A delivery on its way through the worker. Belongs to the main thread.

    Each method is one step of the way, and sets the stage that follows it.
    """

    def __init__(self, delivery: Delivery) -> None:
        self.delivery = delivery
        self.stage = Stage.ADMITTING
        self.earlier: Attempts | None = None  # earlier attempts at the job
        self.task: TaskKind | None = None
        self.bound: JsonObject = {}  # the arguments of the body
        self.staging: Staging | None = None  # where its artifacts lie
        self.meter: Meter | None = None  # what the running body takes
        self.checkpoint: Checkpoint | None = None  # what the body may have saved of its progress
        self.outcome: Outcome | None = None
        self.energy: Energy | None = None
        self.error = ""  # of a body that is to be tried again
        self.result: Result | None = None
        self.written: Written | None = None  # the result on the disk, not durable yet
        self.files_lost = False  # the disk refused the artifacts: they may be gone and look well
        self.needs_space = False  # a full disk ended the body: it begins again when there is room
        self.parked: WaitReason | None = None  # why it may not begin yet, although its class may
        self.not_before = 0.0  # by the monotonic clock: when a parked attempt is looked at again by itself
        self.job_ended = False  # the job has its one result: nothing is kept for another attempt
        self.faults = 0  # times that the worker itself failed over it

    @property
    def id(self) -> str:
        """The job's id."""
        return self.delivery.id

    @property
    def number(self) -> int:
        """Ordinal of this attempt, counted from 1."""
        return 1 + (self.earlier.deliveries if self.earlier is not None else 0)

    @property
    def begins(self) -> bool:
        """True while its body has not begun, or has to begin once more: power decides when."""
        return self.stage is Stage.ADMITTING

    @property
    def size_bytes(self) -> int:
        """Bytes of the result that wait for the disk."""
        return self.written.size_bytes if self.written is not None else 0

    def __str__(self) -> str:
        return f"Task {self.delivery.task}[{self.delivery.id}]"

    # --- admission ----------------------------------------------------------------------------------------

    def park(self, why: WaitReason, *, not_before: float = 0.0) -> None:
        """It may not begin yet; `why.since` is kept from the first time."""
        since = self.parked.since if self.parked is not None else time.time()
        self.parked, self.not_before = msgspec.structs.replace(why, since=since), not_before

    def failed_inside(self) -> int:
        """The worker itself failed over this attempt; the number of times so far."""
        self.faults += 1
        return self.faults

    def recall(self, earlier: Attempts | None) -> None:
        """Take in the record of the earlier attempts."""
        self.earlier = earlier

    def admit(self, task: TaskKind, bound: JsonObject, staging: Staging) -> None:
        """The body is to run now."""
        self.task, self.bound, self.staging = task, bound, staging
        self.parked = None
        self.stage = Stage.RUNNING

    # --- the body -----------------------------------------------------------------------------------------

    def begin(self, meter: Meter, checkpoint: Checkpoint | None) -> None:
        """The body begins."""
        self.meter, self.checkpoint = meter, checkpoint

    @property
    def has_leftovers(self) -> bool:
        """True unless this was the first attempt and it saved nothing: then there is no record and no checkpoint."""
        first = self.earlier is None and not self.delivery.redeliveries and not self.delivery.failures
        return not first or self.outcome is None or (self.checkpoint is not None and self.checkpoint.there)

    def end(self, outcome: Outcome, energy: Energy) -> None:
        """The body has ended."""
        self.outcome, self.energy = outcome, energy

    def run_again(self, *, needs_space: bool = False) -> None:
        """Drop what this run made: the body has to run once more."""
        if self.staging is not None:
            self.staging.discard()
        self.staging = self.outcome = self.energy = self.meter = self.result = self.written = None
        self.files_lost = False
        self.needs_space = needs_space
        self.stage = Stage.ADMITTING

    def space_is_free(self) -> None:
        """There is room on the disk again."""
        self.needs_space = False

    # --- its end ------------------------------------------------------------------------------------------

    def retry(self, error: str) -> None:
        """The body failed with retries left; its files go."""
        self.drop_files()
        self.error = error
        self.stage = Stage.RETRYING

    def conclude(self, result: Result) -> None:
        """The job ends with `result`, once it is durable."""
        self.parked = None
        self.result = result
        self.stage = Stage.COMMITTING

    def drop_files(self) -> None:
        """Remove the artifacts: the result will not name them."""
        if self.staging is not None:
            self.staging.discard()
            self.staging = None

    def wrote(self, written: Written) -> None:
        """The result is on the disk, not durable yet."""
        self.written = written

    def refused(self, *, files_lost: bool) -> None:
        """The disk, or the head, did not take the result; it is written anew."""
        self.written = None
        self.files_lost = files_lost

    def finish(self, *, job_ended: bool = True) -> None:
        """Nothing is left to do but the acknowledgement. Without `job_ended` another attempt at the job follows."""
        self.parked, self.job_ended = None, job_ended
        self.stage = Stage.DONE

    # `Any`: the fields of a `Result` have many types.
    def make_result(self, failure: Failure | None, *, worker: str, **fields: Any) -> Result:
        """The end of the job, with `failure` or with the value in `fields`."""
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
            **fields,
        )


def _storable(args: list[JsonValue], kwargs: JsonObject) -> tuple[list[JsonValue], JsonObject]:
    """The arguments as they can stand in a result; what JSON cannot hold is shown, not kept."""
    try:
        msgspec.json.encode((args, kwargs))
    except Exception:
        try:
            return [clean(repr(args))[:1000]], {"kwargs": clean(repr(kwargs))[:1000]}
        except Exception:  # nested beyond what repr can follow
            return [], {}
    return args, kwargs
