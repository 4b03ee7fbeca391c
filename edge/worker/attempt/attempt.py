"""One delivery on its way through the worker: what is known of its job, and the result it ends with."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import msgspec

from edge.model import Attempts, Failure, FailureCode, JobState, Result
from edge.results.staging import Staging
from edge.worker.attempt.delivery import Delivery, clean


@dataclass(frozen=True)
class Attempt:
    """A delivery with what is known of its job, and the place for this attempt's files."""

    delivery: Delivery
    known: Attempts | None
    staging: Staging | None = None

    @property
    def attempt(self) -> int:
        """This body is the so many-th to begin."""
        return 1 + (self.known.deliveries if self.known is not None else 0)

    def result(self, failure: Failure | None, *, worker: str, **fields: Any) -> Result:
        """The end of the job, with `failure` or with the value in `fields`."""
        state = JobState.SUCCEEDED
        if failure is not None:
            state = JobState.CANCELLED if failure.code is FailureCode.CANCELLED else JobState.FAILED
        args, kwargs = _storable(self.delivery.args, self.delivery.kwargs)
        return Result(
            self.delivery.id,
            self.delivery.task,
            state,
            failure=failure,
            args=args,
            kwargs=kwargs,
            finished_at=time.time(),
            attempts=self.attempt,
            worker=worker,
            original_id=self.delivery.original_id,
            submitter=self.delivery.submitter,
            **fields,
        )


def _storable(args: list[Any], kwargs: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    """The arguments as they can stand in a result; what JSON cannot hold is shown, not kept."""
    try:
        msgspec.json.encode((args, kwargs))
    except Exception:
        try:
            return [clean(repr(args))[:1000]], {"kwargs": clean(repr(kwargs))[:1000]}
        except Exception:  # nested beyond what repr can follow
            return [], {}
    return args, kwargs
