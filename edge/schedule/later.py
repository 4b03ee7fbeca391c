"""What a submission says about waiting, checked."""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from edge.core import rfc3339
from edge.core.errors import BadJobId, UnknownJob, UsageError
from edge.model import MOST_PARENTS, AfterFailure, Waits, is_job_id

#: A job's priority where nobody chose one.
USUAL_PRIORITY = 5


class Later(msgspec.Struct, frozen=True):
    """How a new job waits in the ledger before the broker gets it. Most jobs have none of this."""

    delay_s: float | None = None  # counts from the moment it is accepted
    not_before: float | None = None  # wall clock; with both, the later of the two counts
    priority: int = USUAL_PRIORITY
    unique_key: str | None = None
    after: tuple[str, ...] = ()  # ids of jobs that have to end first
    anyway: bool = False  # it runs even if one of these does not succeed
    results: bool = False  # results of these are to be put into its arguments
    foreign: bool = False  # these may be jobs of other submitters

    @property
    def waits(self) -> bool:
        """True when it may not go to the broker at once."""
        return self.delay_s is not None or self.not_before is not None or bool(self.after)


def later(asked: Waits, *, results: Collection[str] = (), foreign: bool = False) -> Later | None:
    """Return how the job waits; None where the submission says nothing of it. Raises UsageError, UnknownJob.

    Args:
        asked: what the submission says.
        results: ids of the jobs whose results stand in its arguments: it waits for these, too.
        foreign: whether it may wait for jobs of other submitters.
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
