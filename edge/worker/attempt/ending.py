"""Decides what follows from the end of a body. Pure functions."""

from __future__ import annotations

import errno
from enum import StrEnum

from edge.model import FailureCode
from edge.worker.attempt.delivery import Delivery
from edge.worker.attempt.outcome import Outcome

_FULL = (errno.ENOSPC, errno.EDQUOT)
#: Failures that another attempt may avoid.
_RETRIED = (
    FailureCode.EXCEPTION,
    FailureCode.TIME_LIMIT,
    FailureCode.EXIT,
    FailureCode.SIGNAL,
    FailureCode.OUT_OF_MEMORY,
    FailureCode.NO_OUTPUT,
)


class Ending(StrEnum):
    """What follows from the end of a body."""

    INTERRUPTED = "interrupted"  # it runs again later, from its checkpoint
    DISK_FULL = "disk-full"  # a full disk ended it: it runs again when there is room
    RETRY = "retry"  # it failed, with retries left
    RESULT = "result"  # the job has its result


def ending(outcome: Outcome, delivery: Delivery, *, disk_to_blame: bool) -> Ending:
    """Return what follows from `outcome`.

    Args:
        outcome: how the body ended.
        delivery: the message of the attempt.
        disk_to_blame: a full disk, not the job, may have ended the body.
    """
    if outcome.interrupted:
        return Ending.INTERRUPTED
    if disk_to_blame and disk_full(outcome):
        return Ending.DISK_FULL
    failure = outcome.failure
    if outcome.abandoned:  # the body may still run, and another attempt would run at the same time
        return Ending.RESULT
    if failure is not None and failure.code in _RETRIED and delivery.failures < delivery.retries:
        return Ending.RETRY
    return Ending.RESULT


def disk_full(outcome: Outcome) -> bool:
    """Return True if the body ended with the error of a full disk. No other OSError is sure to come from the disk."""
    return isinstance(outcome.error, OSError) and outcome.error.errno in _FULL
