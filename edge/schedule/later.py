"""Checks the fields of a submission that make a job wait, or change its place among jobs that wait."""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from edge.core import rfc3339
from edge.core.errors import BadJobId, UnknownJob, UsageError
from edge.model import MOST_PARENTS, AfterFailure, Waits, is_job_id

#: Priority of a job whose submission names none.
USUAL_PRIORITY = 5


class Later(msgspec.Struct, frozen=True):
    """The checked fields of a submission on waiting. Most submissions have none of them."""

    delay_s: float | None = None  # counted from the acceptance of the job
    not_before: float | None = None  # seconds since the epoch; with `delay_s` too, the later time counts
    priority: int = USUAL_PRIORITY
    unique_key: str | None = None
    after: tuple[str, ...] = ()  # ids of the jobs that must end first
    anyway: bool = False  # the job runs even if one of the jobs in `after` does not succeed
    results: bool = False  # its arguments contain results of jobs in `after`
    foreign: bool = False  # `after` may name jobs of other submitters

    @property
    def waits(self) -> bool:
        """True if the broker may not get the job at once."""
        return self.delay_s is not None or self.not_before is not None or bool(self.after)


def later(asked: Waits, *, results: Collection[str] = (), foreign: bool = False) -> Later | None:
    """Return the checked fields, or None if the submission has none of them.

    Args:
        asked: the fields of the submission.
        results: ids of the jobs whose results its arguments name. The job waits for these too.
        foreign: True if the job may wait for jobs of other submitters.

    Raises:
        UsageError: a field is not valid, or the job would wait for too many jobs.
        UnknownJob: an entry of `after` is not the id of a job.
    """
    after = tuple(dict.fromkeys((*(asked.after or ()), *results)))
    if after == () and (asked.delay_s, asked.not_before, asked.priority, asked.unique_key) == (None,) * 4:
        return None
    if len(after) > MOST_PARENTS:
        raise UsageError(f"after: {len(after)} jobs, with those in the arguments; a job may wait for {MOST_PARENTS}")
    for job_id in after:
        if not is_job_id(job_id):
            raise UnknownJob.reported(f"after: {BadJobId(job_id)}", job_id=job_id)
    not_before = None
    if asked.not_before is not None:
        not_before = rfc3339.parsed(asked.not_before, name="not_before").timestamp()
    priority = USUAL_PRIORITY if asked.priority is None else asked.priority
    return Later(
        delay_s=asked.delay_s,
        not_before=not_before,
        priority=priority,
        unique_key=asked.unique_key,
        after=after,
        anyway=asked.after_failure is AfterFailure.RUN,
        results=bool(results),
        foreign=foreign,
    )
