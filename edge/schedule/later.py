"""What a submission says about waiting, checked."""

from __future__ import annotations

import msgspec

from edge.core.errors import UsageError
from edge.model import Waits
from edge.schedule.instant import BadInstant, instant


class Later(msgspec.Struct, frozen=True):
    """How a new job waits in the ledger before the broker gets it. Most jobs have none of this."""

    delay_s: float | None = None  # counts from the moment it is accepted
    not_before: float | None = None  # wall clock; one of the two at most

    @property
    def waits(self) -> bool:
        """True when it may not go to the broker at once."""
        return self.delay_s is not None or self.not_before is not None


def later(asked: Waits) -> Later | None:
    """Return how the job waits; None for one that goes to the broker at once. Raises UsageError."""
    if asked.delay_s is None and asked.not_before is None:
        return None
    if asked.delay_s is not None and asked.not_before is not None:
        raise UsageError("delay_s and not_before: give one of them")
    try:
        not_before = None if asked.not_before is None else instant(asked.not_before)
    except BadInstant as err:
        raise UsageError(f"not_before = {err}") from err
    return Later(delay_s=asked.delay_s, not_before=not_before)
