"""Moves an attempt from stage to stage: the path of every message.

A message is acknowledged only after its result or its failure is durable, or if the job had a result before. After a
disk error the attempt keeps its stage. It waits in `blocked` and continues from that stage.
"""

from __future__ import annotations

import errno
import logging
import os
import time
from collections.abc import Callable
from contextlib import suppress

import msgspec

from edge.catalog.commands import commands_of
from edge.config import Config
from edge.core.durable import has_free_space
from edge.core.errors import NotAllowed, Unreachable, expect_type, not_none
from edge.model import Failure, FailureCode, JobState, PowerStatus, SpawnedJobs, WaitReason
from edge.results.store import Results
from edge.worker.api.checkpoint import forget
from edge.worker.api.spawner import HandOver
from edge.worker.attempt.admission import Decision, Defer, JobEnded, Kinds, Old, Park, Refuse, Run, admit, first_look
from edge.worker.attempt.attempt import Attempt, Stage
from edge.worker.attempt.delivery import Delivery, clean
from edge.worker.attempt.ending import Ending, disk_full, ending
from edge.worker.attempt.history import AttemptHistory
from edge.worker.attempt.inputs import JobInputs
from edge.worker.attempt.program_locks import ProgramLocks
from edge.worker.executor.executor import Executor
from edge.worker.flow.batch import Batch
from edge.worker.flow.blocked import Blocked
from edge.worker.flow.running import RunningJobs
from edge.worker.power.feasibility import KindAverages
from edge.worker.process.control import Control
from edge.worker.process.status import StatusFile

logger = logging.getLogger(__name__)

#: A disk with less free space than this counts as full.
_FREE_BYTES = 4 << 20
#: Pauses before the further tries after a fault of the worker. If the last try fails too, the job ends as `internal`.
_FAULT_DELAYS_S = (1.0, 2.0)
_FETCH_S = 0.5  # pause between two checks of a file that is being fetched
_ELSEWHERE_S = 2.0  # pause between two checks of a program that another worker runs
_RUNS_ELSEWHERE = WaitReason(0.0, "another worker of this board runs the same job", until="it has ended")


class Flow:
    """Moves attempts from stage to stage. Belongs to the main thread.

    An exception that leaves it is a fault of the worker, and ends the worker.
    """

    def __init__(
        self,
        config: Config,
        *,
        name: str,
        results: Results,
        history: AttemptHistory,
        averages: KindAverages,
        kinds: Callable[[], Kinds],
        executor: Executor,
        running: RunningJobs,
        batch: Batch,
        blocked: Blocked,
        control: Control,
        status: StatusFile,
        hand_over: HandOver,
        inputs: JobInputs,
    ) -> None:
        """`kinds` returns the known kinds of job; it is called again when a kind is unknown."""
        self._config, self._name = config, name
        self._results, self._history, self._averages = results, history, averages
        self._read_kinds = kinds
        self._kinds: Kinds | None = None
        self._executor, self._running = executor, running
        self.batch, self.blocked = batch, blocked
        self._control, self._status = control, status
        self._hand_over = hand_over
        self._inputs = inputs
        self._programs = frozenset(command.name for command in commands_of(config))
        self._locks = ProgramLocks(config.layout.program_locks)
        self._files_blamed: set[str] = set()  # jobs whose bodies ended when no file could be opened any more
        self._disk_blamed: set[str] = set()  # ids of jobs that a full disk ended once, see `_disk_to_blame`

    def advance(self, attempt: Attempt, power: PowerStatus) -> None:
        """Move `attempt` on from its stage as far as possible now.

        On return the attempt is in the batch, blocked, parked, back at ADMITTING because its body has to run again,
        DONE after an interruption, or RUNNING in another thread. `power` decides whether a body may begin.
        """
        self._running.add(attempt.id)
        try:
            while self._step(attempt, power):
                pass
        except OSError as err:
            self._block(attempt, err)
        except Exception:
            # A fault of the worker, or a body broke something in this process. The worker ends. Because of the mark
            # that counts as a crash of this job: after `worker.max_crashes` crashes the job does not run any more.
            self._history.begin(attempt.id)
            raise
        finally:
            if attempt.stage is not Stage.RUNNING:
                self._running.discard(attempt.id)
                self._status.finished()
            if attempt.stage in (Stage.ADMITTING, Stage.DONE):
                self._locks.release(attempt.id)

    def commit(self) -> list[Delivery]:
        """Make the batch durable. Attempts that fail are blocked.

        Returns:
            The deliveries that may be acknowledged.
        """
        if not self.batch:
            return []
        last = self.batch.last
        members = self.batch.take()
        written = [attempt.written for attempt in members if attempt.written is not None]
        try:
            outcomes = iter(self._results.commit(written) if written else ())
        except Exception:  # as in `advance`, it counts as a crash of the job that ended last
            self._history.begin(last.id)
            raise
        done = list[Delivery]()
        for attempt in members:
            err = next(outcomes) if attempt.written is not None else None
            if err is None:
                if attempt.written is not None:
                    attempt.finish()
                self._locks.release(attempt.id)
                if attempt.id in self._files_blamed:
                    self._files_blamed.discard(attempt.id)
                    self._history.end(attempt.id)
                self._tidy(attempt)
                done.extend(attempt.deliveries)
            else:
                away = isinstance(err, Unreachable | NotAllowed)  # an error at the head: the artifacts here are intact
                attempt.refused(files_lost=attempt.written is not None and attempt.written.has_files and not away)
                self._block(attempt, err)
        if done:
            self.blocked.reset_pause()
        return done

    def resume(self, attempt: Attempt, power: PowerStatus) -> bool:
        """Continue an attempt that was blocked. Return True if its body must begin as soon as power allows it."""
        if attempt.needs_space:
            try:
                free = has_free_space(self._config.root, _FREE_BYTES)
            except OSError as err:
                self.blocked.add(attempt, err)
                return False
            if not free:
                self.blocked.add(attempt, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
                return False
            attempt.space_is_free()
        if not attempt.begins:
            self.advance(attempt, power)
        return attempt.begins and attempt not in self.blocked

    def _block(self, attempt: Attempt, err: OSError) -> None:
        if attempt.outcome is not None:
            self._blame(attempt, err)
        self.blocked.add(attempt, err)

    def _blame(self, attempt: Attempt, err: OSError) -> None:
        """Mark an ended body as running if no file can be opened, because the body may have left all of them open.

        If the worker has to end for that reason, the mark makes it count as a crash of this job.
        """
        if err.errno == errno.EMFILE and attempt.id not in self._files_blamed:
            self._files_blamed.add(attempt.id)
            with suppress(OSError):
                self._history.begin(attempt.id)

    # --- one stage ----------------------------------------------------------------------------------------

    def _step(self, attempt: Attempt, power: PowerStatus) -> bool:
        """Do the work of the current stage. Return False if the attempt cannot move on now. Raises OSError."""
        match attempt.stage:
            case Stage.ADMITTING:
                return self._admit(attempt, power)
            case Stage.RUNNING:
                return self._run(attempt, power)
            case Stage.COMMITTING:
                return self._write(attempt)
            case Stage.RETRYING:
                attempt.hand_over()
                self._history.failed(attempt.delivery, attempt.earlier, attempt.error)
                logger.info("%s will be tried again", attempt)
                attempt.finish(job_ended=False)
                self.batch.add(attempt)
                return False
            case Stage.DONE:
                return False

    def _admit(self, attempt: Attempt, power: PowerStatus) -> bool:
        try:
            decision = self._decide(attempt, power)
        except OSError:
            raise
        except Exception as err:  # a fault of the worker must not stop the jobs that follow
            return self._failed_inside(attempt, err)
        delivery = attempt.delivery
        match decision:
            case JobEnded():
                self._results.announce(delivery.id)
                logger.info("%s has its result already", attempt)
                attempt.finish()
                self.batch.add(attempt)
            case Old():
                logger.info("%s is an old message: its retry is known", attempt)
                attempt.finish(job_ended=False)
                self.batch.add(attempt)
            case Park(reason, again_s):
                if attempt.parked is None:
                    logger.info("%s may not begin yet: %s", attempt, reason.reason)
                attempt.park(reason, not_before=time.monotonic() + again_s if again_s else 0.0)
            case Defer(jobs):
                self._hand_over.write(SpawnedJobs(delivery.id, jobs, delivery.submitter), number=0)
                logger.info("%s is kept by the gateway until it is due", attempt)
                attempt.finish(job_ended=False)
                self.batch.add(attempt)
            case Refuse(failure):
                logger.error("%s not run: %s (%s)", attempt, failure.message, failure.code)
                attempt.conclude(attempt.make_result(failure, worker=self._name))
                return True
            case Run(task, bound):
                if delivery.files and (waits := self._missing(attempt)) is not None:
                    return waits
                if not self._averages.is_short(delivery.task):  # a short job logs its end at once
                    logger.info("%s received", attempt)
                staging = self._results.stage(delivery.id)
                self._history.begin(delivery.id)
                attempt.admit(task, bound, staging)
                return True
        return False

    def _missing(self, attempt: Attempt) -> bool | None:
        """Park the attempt while an input file is fetched, or end the job if a file cannot be had. Raises OSError.

        Returns:
            The value that `_step` returns, or None if all input files are here.
        """
        found = self._inputs.look(attempt.delivery.files)
        if found is None:
            return None
        if isinstance(found, Failure):
            logger.error("%s not run: %s (%s)", attempt, found.message, found.code)
            attempt.conclude(attempt.make_result(found, worker=self._name))
            return True
        if attempt.parked is None:
            logger.info("%s may not begin yet: %s", attempt, found)
        attempt.park(WaitReason(0.0, found, until="the file is here"), not_before=time.monotonic() + _FETCH_S)
        return False

    def _decide(self, attempt: Attempt, power: PowerStatus) -> Decision:
        delivery = attempt.delivery
        decision = first_look(
            delivery,
            job_ended=self._results.has(delivery.id),
            parked=attempt.parked is not None,
            power=power,
            expected=self._averages.expected(delivery.task),
            config=self._config.power,
        )
        if decision is not None:
            return decision
        if delivery.task in self._programs and not self._locks.take(delivery.id):
            return Park(_RUNS_ELSEWHERE, _ELSEWHERE_S)
        attempt.recall(self._history.look(delivery))
        if self._kinds is None or delivery.task not in self._kinds.tasks:
            self._kinds = self._read_kinds()
        return admit(delivery, attempt.earlier, self._kinds, self._config.worker)

    def _failed_inside(self, attempt: Attempt, err: Exception) -> bool:
        """Park the attempt for another try, or end the job as `internal` after the last try."""
        count = attempt.failed_inside()
        self._status.update(faults=self._status.status.faults + 1)
        if count > len(_FAULT_DELAYS_S):
            what = clean(f"the worker failed {count} times to handle this job: {type(err).__name__}: {err}")[:4000]
            logger.error("%s not run: %s (%s)", attempt, what, FailureCode.INTERNAL)
            failure = Failure(FailureCode.INTERNAL, what, type(err).__name__)
            attempt.conclude(attempt.make_result(failure, worker=self._name))
            return True
        if count == 1:
            logger.error("%s: a fault of the worker itself; trying again", attempt, exc_info=err)
        delay_s = _FAULT_DELAYS_S[count - 1]
        why = WaitReason(0.0, f"the worker failed to handle it: {type(err).__name__}", until=f"in {delay_s:g} s")
        attempt.park(why, not_before=time.monotonic() + delay_s)
        return False

    def _run(self, attempt: Attempt, power: PowerStatus) -> bool:
        if attempt.outcome is None:
            self._executor.begin(attempt, power)
        if attempt.outcome is None:
            return False  # it runs in another thread
        try:
            return self._ended(attempt)
        except OSError as err:
            self._blame(attempt, err)
            attempt.run_again()
            raise

    def _ended(self, attempt: Attempt) -> bool:
        """Handle the end of a body.

        Raises:
            OSError: the files of the body cannot be read, so it has to run again.
        """
        outcome, delivery = not_none(attempt.outcome, "the outcome of a body that ended"), attempt.delivery
        match ending(outcome, delivery, disk_to_blame=self._disk_to_blame(attempt)):
            case Ending.INTERRUPTED:
                logger.info("%s interrupted: %s; it runs again later", attempt, outcome.error)
                attempt.drop_files()
                self._history.interrupted(attempt.earlier)
                attempt.finish(job_ended=False)
                self._control.stop()  # at critical power no signal stops the worker
                return False
            case Ending.DISK_FULL:
                self._disk_blamed.add(delivery.id)
                attempt.run_again(needs_space=True)
                self.blocked.add(attempt, expect_type(outcome.error, OSError, "the error of a full disk"))
                return False
            case Ending.RETRY:
                failure = not_none(outcome.failure, "the failure of a body that is tried again")
                attempt.retry(f"{failure.type}: {failure.message}" if failure.type else failure.message)
            case Ending.RESULT:
                self._conclude(attempt)
        return True

    def _conclude(self, attempt: Attempt) -> None:
        outcome, delivery = not_none(attempt.outcome, "the outcome of a body that ended"), attempt.delivery
        failure = outcome.failure
        if failure is None and attempt.energy is not None:
            self._averages.note(delivery.task, attempt.energy)
        limit = self._config.worker.max_artifact_bytes
        size = not_none(attempt.staging, "the staging of a body").size_bytes()
        if size > limit:
            message = f"the job's files have {size} bytes, more than worker.max_artifact_bytes = {limit}"
            failure = failure or Failure(FailureCode.TOO_LARGE, message)
            attempt.drop_files()
        result = attempt.make_result(
            failure,
            worker=self._name,
            value=outcome.encoded if failure is None else None,
            started_at=outcome.started_at,
            seconds=round(outcome.seconds, 6),
            cpu_seconds=round(outcome.cpu_seconds, 6),
            energy=attempt.energy,
        )
        attempt.conclude(result)

    def _disk_to_blame(self, attempt: Attempt) -> bool:
        """Return True if a full disk, not the job, may have ended the body.

        If the disk has room again after the job's own files were removed, the job itself may have filled it. Then the
        job gets only one more try.
        """
        if not disk_full(not_none(attempt.outcome, "the outcome of a body that ended")):
            return False
        return attempt.id not in self._disk_blamed or not has_free_space(self._config.root, _FREE_BYTES)

    def _write(self, attempt: Attempt) -> bool:
        """Write the result. It becomes durable with the batch."""
        result = not_none(attempt.result, "the result of an attempt that commits")
        attempt.hand_over()
        if attempt.files_lost:
            # After a failed sync the page cache may show artifacts that the disk does not have, so the body has to
            # run again. But a result with its final name was linked after the sync of its artifacts. Then they are
            # complete, and only the name is not durable yet.
            if not self._results.has(result.id):
                attempt.run_again()
                return False
            self._results.announce(result.id)
            attempt.finish()
            self.batch.add(attempt)
            return False
        try:
            attempt.wrote(self._results.write(result, attempt.staging))
        except (Unreachable, NotAllowed):
            raise
        except OSError:
            attempt.refused(files_lost=_left_files(attempt))
            raise
        except Exception as err:  # the files of the body cannot be listed; that must not stop other jobs
            if attempt.staging is None:
                raise
            logger.error("%s left files that cannot be kept: %s", attempt, clean(str(err)))
            attempt.drop_files()
            failure = result.failure or Failure(FailureCode.NOT_SERIALISABLE, clean(str(err)), type(err).__name__)
            state = JobState.FAILED if result.failure is None else result.state
            attempt.conclude(msgspec.structs.replace(result, state=state, value=None, failure=failure))
            return True
        self.batch.add(attempt)
        return False

    def _tidy(self, attempt: Attempt) -> None:
        """Remove the record of attempts and the checkpoint of a job that has ended."""
        if not attempt.job_ended:
            return
        self._disk_blamed.discard(attempt.id)
        if not attempt.has_leftovers:
            return
        try:
            self._history.attempts.forget(attempt.id)
            forget(self._config.layout.checkpoints, attempt.id)
        except OSError as err:
            logger.warning("cannot tidy up after %s: %s", attempt.id, err)


def _left_files(attempt: Attempt) -> bool:
    """Return True if the body left artifacts, or if they cannot be listed."""
    try:
        return attempt.staging is not None and attempt.staging.size_bytes() > 0
    except OSError:
        return True
