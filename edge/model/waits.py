"""How a submitter lets a job wait: one definition for a submission, a line of a batch and a spawned job."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta

Delay = Annotated[float, Meta(ge=0, le=31_536_000)]


#: This pattern stands in the JSON schema only. The board parses the text itself, and says what is wrong with it.
_DAY = r"(0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8])"
_CLOCK = r"([01][0-9]|2[0-3]):[0-5][0-9]"
_INSTANT = rf"^(19[789]|20[0-9]|21[0-9])[0-9]-({_DAY})T{_CLOCK}:[0-5][0-9](\.[0-9]{{1,6}})?(Z|[+-]{_CLOCK})$"
Instant = Annotated[str, Meta(extra_json_schema={"pattern": _INSTANT})]

Priority = Annotated[int, Meta(ge=0, le=9)]

#: As long as an idempotency key, and of any characters but control characters.
UniqueKey = Annotated[str, Meta(min_length=1, max_length=255, pattern=r"^[^\x00-\x1f\x7f]+$")]


#: Most jobs that one job may wait for.
MOST_PARENTS = 1000
_Parents = Annotated[tuple[Annotated[str, Meta(min_length=1, max_length=128)], ...], Meta(max_length=MOST_PARENTS)]


class AfterFailure(StrEnum):
    """What becomes of a job when one that it waits for fails or is cancelled."""

    FAIL = "fail"  # it ends as `dependency-failed`
    RUN = "run"  # it runs all the same


class Waits(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a job waits for in the ledger before the broker gets it."""

    delay_s: Delay | None = None  # so long
    not_before: Instant | None = None  # and until this time: RFC 3339 with an offset
    priority: Priority | None = None  # 0 to 9, higher first; 5 is usual
    unique_key: UniqueKey | None = None  # while a job of the submitter with this key is open, that one is the answer
    after: _Parents | None = None  # ids of jobs that have to end first
    after_failure: AfterFailure | None = None  # None: `fail`
