"""The record of how a body ended."""

from __future__ import annotations

import msgspec

from edge.model import Failure


class Outcome(msgspec.Struct, frozen=True):
    """How a body ended: with a value, with a failure, or interrupted, so that it has to run again."""

    value: object = None
    encoded: msgspec.Raw | None = None
    failure: Failure | None = None
    error: BaseException | None = None
    interrupted: bool = False
    started_at: float = 0.0  # seconds since the epoch
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    abandoned: bool = False  # the body did not end when asked, and may still run: its job ends without it
