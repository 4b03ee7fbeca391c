"""Writes the sentence that tells a person why a job does not run now, and what ends the wait."""

from __future__ import annotations

from collections.abc import Sequence

from edge.core import clock, rfc3339
from edge.core.text import duration, moment
from edge.ledger.reader import AHEAD_MOST
from edge.ledger.rows import JobRow
from edge.model import (
    ALLOWED,
    JobState,
    Power,
    PowerState,
    PowerStatus,
    RunningJob,
    WaitReason,
    WorkerState,
    WorkerStatus,
)
from edge.wire import BrokerState, BrokerView, StartInterval

#: A broker confirms a job within milliseconds. After this time it hangs, although the connection is still open.
_UNCONFIRMED_S = 5.0


def sentence(
    job: JobRow,
    *,
    power: PowerStatus,
    workers: Sequence[WorkerStatus],
    broker: BrokerView,
    ahead: int | None,
    now: float,
    nobody: str = "no worker is running",
    kept: str = "",
) -> str:
    """Return why `job` waits, or an empty text if it runs or has ended.

    A reason that holds the whole board comes before a reason that holds only this job, so that two waiting jobs give
    the same reason.

    Args:
        job: the job, as the ledger has it.
        power: the governor's report.
        workers: the living workers that take such jobs.
        broker: the connection to the broker.
        ahead: number of jobs before it in its queue, or None if nobody has counted them.
        now: the wall clock, by which `due_at` was set.
        nobody: the reason if `workers` is empty.
        kept: why an accepted job is not published to the broker yet, or an empty text.
    """
    if job.state.final or job.state is JobState.RUNNING:
        return ""
    if job.cancel:
        return "asked to stop; " + ("a worker ends it" if workers else "it ends when a worker runs")
    if job.waits:
        return "; ".join(filter(None, (kept, _ledger(job, now)))) or "about to go to the broker"
    reasons = [_reason(job, power, workers, broker, ahead, now, nobody, kept)]
    if ahead and job.state is not JobState.RETRYING:
        least = "at least " if ahead >= AHEAD_MOST else ""
        reasons.append(f"{least}{ahead} job{'' if ahead == 1 else 's'} ahead")
    return "; ".join(filter(None, reasons))


def held(held: WaitReason, now: float) -> str:
    """Return why a job that has begun is held, since when, and what ends the hold."""
    what = "its process is stopped" if held.frozen else "it stopped in place"
    end = f"; goes on when {held.until}" if held.until else ""
    return f"held for {duration(now - held.since)}: {held.reason}; {what}, and loses nothing{end}"


def start_text(starts: StartInterval, *, late: bool) -> str:
    """Return when a job starts: `starts 14:10 to 16:40, most likely 15:05`.

    With `late` the text also says that the job will end after its deadline.
    """
    early, likely, last = moment(starts.early), moment(starts.likely), moment(starts.late)
    day = early[:-5]
    last, likely = (each.removeprefix(day) if day else each for each in (last, likely))
    text = f"starts {early} to {last}, most likely {likely}"
    return f"will not fit before its deadline; {text}" if late else text


def resumes_at(job: JobRow, body: RunningJob | None, power: PowerStatus) -> float | None:
    """Return when power is expected to be good for `job`, as Unix time.

    Return None if the job does not wait for power, or if the governor does not know the time.
    """
    if body is not None:
        waits = body.held is not None and power.state not in {PowerState.NORMAL, PowerState.SURPLUS}
    else:
        waits = job.state in {JobState.ACCEPTED, JobState.QUEUED} and job.power is not Power.SURPLUS
        waits = waits and job.power not in ALLOWED[power.state]
    return power.resumes_at if waits else None


def _reason(
    job: JobRow,
    power: PowerStatus,
    workers: Sequence[WorkerStatus],
    broker: BrokerView,
    ahead: int | None,
    now: float,
    nobody: str,
    kept: str,
) -> str:
    board = _board(job, power, workers, broker, now, nobody)
    if job.state is JobState.RETRYING:
        left_s = (job.due_at or now) - now
        return "; ".join(filter(None, (_retry(job, left_s), "" if left_s > 0 else board)))
    if kept.startswith("waits for the limit"):
        return board or kept
    return board or _worker(job, workers, now) or kept or _next(job, ahead, now)


def _board(
    job: JobRow,
    power: PowerStatus,
    workers: Sequence[WorkerStatus],
    broker: BrokerView,
    now: float,
    nobody: str,
) -> str:
    """Return the reason that holds every job of this class, or an empty text."""
    if broker.state is BrokerState.DOWN:
        return _with("broker is not reachable", broker.reason) + "; the job is safe in the ledger"
    if job.state is JobState.ACCEPTED and broker.state is BrokerState.BLOCKED:
        return _with("broker takes no more jobs for now", broker.reason) + "; the job is safe in the ledger"
    if not workers:
        return nobody
    if job.power not in ALLOWED[power.state]:
        return _power(job.power, power) + _deadline(job, now)
    return ""


def _ledger(job: JobRow, now: float) -> str:
    """Return until when a job waits in the ledger, or an empty text if it waits for no time."""
    if job.due_at is None:
        return ""
    if job.delay_s is not None:
        return f"submitted for later; starts in {duration(min(job.due_at - now, job.delay_s))}"
    when = f"not before {rfc3339.in_utc(job.due_at)}"
    if not clock.plausible(now):
        return f"{when}; the board does not know the time, and waits until its clock is set"
    return f"{when}, in {duration(job.due_at - now)}"


def _retry(job: JobRow, left_s: float) -> str:
    which = f"retry {job.failures} of {job.retries}"
    due = f"due in {duration(left_s)}" if left_s > 0 else "due now"
    return f"{which} {due}" + (f" after: {job.message}" if job.message else "")


def _power(wanted: Power, power: PowerStatus) -> str:
    now = _with(f"power is {power.state}", power.reason)
    if wanted is Power.SURPLUS and power.state in {PowerState.NORMAL, PowerState.LOW}:
        # `until` is left out: it says when this state ends, and the state after it is not surplus yet.
        return f"waits for surplus power; {now}"
    if not power.until:
        return now
    return f"{now}; " + (power.until if power.until.startswith("resumes") else f"resumes when {power.until}")


def _deadline(job: JobRow, now: float) -> str:
    """Return when a job for surplus power may run on normal power, or an empty text if it has no deadline."""
    if job.power is not Power.SURPLUS or job.deadline_s is None:
        return ""
    left_s = min(max(job.accepted_at + job.deadline_s - now, 0.0), job.deadline_s)
    return f"; normal power will do in {duration(left_s)}"


def _worker(job: JobRow, workers: Sequence[WorkerStatus], now: float) -> str:
    for worker in workers:
        for parked in worker.parked:
            if parked.id == job.id:
                return f"{parked.why.reason}; starts when {parked.why.until}"
    held = [worker for worker in workers if worker.reason]
    if len(held) == len(workers):
        return f"worker {held[0].name} holds: {held[0].reason}"
    if all(worker.state is WorkerState.DISCONNECTED for worker in workers):
        return f"worker {workers[0].name} is not connected to the broker"
    if all(worker.state is WorkerState.PAUSED for worker in workers):
        return f"worker {workers[0].name} is about to take up work again"
    busy = next((worker for worker in workers if len(worker.running) >= worker.slots), None)
    if busy is None:
        return ""
    first = busy.running[0]
    other_jobs = len(busy.running) - 1
    more = f" and {other_jobs} other job{'' if other_jobs == 1 else 's'}" if other_jobs else ""
    if all(job.held is not None for job in busy.running) and first.held is not None:
        pronoun = "they" if more else "it"
        return f"worker {busy.name} holds {first.task}{more} until {pronoun} can go on: {first.held.reason}"
    return f"worker {busy.name} runs {first.task}{more} for {duration(now - first.started_at)}"


def _next(job: JobRow, ahead: int | None, now: float) -> str:
    """Return the sentence for a job that nothing holds. It is empty if the jobs ahead of it are the reason."""
    if job.state is JobState.ACCEPTED:
        if (waited_s := now - job.accepted_at) < _UNCONFIRMED_S:
            return "on its way to the broker"
        return f"the broker has not taken it for {duration(waited_s)}; the job is safe in the ledger"
    if ahead is None:
        return "waits for its turn"
    return "" if ahead else "about to start"


def _with(what: str, why: str) -> str:
    return f"{what} ({why})" if why else what
