"""How a submitter lets a job wait: one definition for a submission, a line of a batch and a spawned job."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

Delay = Annotated[float, Meta(ge=0, le=31_536_000)]


class Waits(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a job waits for in the ledger before the broker gets it."""

    delay_s: Delay | None = None  # so long
    not_before: str | None = None  # or until this time: RFC 3339 with an offset
