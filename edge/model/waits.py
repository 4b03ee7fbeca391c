"""Conditions that a job waits for. One definition serves a submission, a line of a batch and a spawned job."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta

Delay = Annotated[float, Meta(ge=0, le=31_536_000)]


#: These patterns of a day, a time and an instant are used in the JSON schema only. The board parses the text itself, so
#: that its error says what is wrong.
_DAY = r"(0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8])"
_CLOCK = r"([01][0-9]|2[0-3]):[0-5][0-9]"
_INSTANT = rf"^(19[789]|20[0-9]|21[0-9])[0-9]-({_DAY})T{_CLOCK}:[0-5][0-9](\.[0-9]{{1,6}})?(Z|[+-]{_CLOCK})$"
Instant = Annotated[str, Meta(extra_json_schema={"pattern": _INSTANT})]

Priority = Annotated[int, Meta(ge=0, le=9)]

#: At most as long as an idempotency key. All characters except control characters are allowed.
UniqueKey = Annotated[str, Meta(min_length=1, max_length=255, pattern=r"^[^\x00-\x1f\x7f]+$")]


#: The largest number of jobs that one job may wait for.
MOST_PARENTS = 1000
_Parents = Annotated[tuple[Annotated[str, Meta(min_length=1, max_length=128)], ...], Meta(max_length=MOST_PARENTS)]


class AfterFailure(StrEnum):
    """What happens to a job when a job that it waits for fails or is cancelled."""

    FAIL = "fail"  # it fails as `dependency-failed`
    RUN = "run"  # it runs in spite of the failure


class Waits(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """When a job may be published to the broker, and in which order. Until then it waits in the ledger."""

    delay_s: Delay | None = None  # shortest wait in seconds
    not_before: Instant | None = None  # earliest time, in addition to `delay_s`: RFC 3339 with an offset
    priority: Priority | None = None  # 0 to 9, higher first; default 5
    unique_key: UniqueKey | None = None  # while the submitter has an open job with this key, no new job is made
    after: _Parents | None = None  # ids of jobs that must end first
    after_failure: AfterFailure | None = None  # if None, `fail`
