"""How a body ended."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from edge.model import Failure


@dataclass(frozen=True)
class Outcome:
    """The end of a body: a value, a failure, or neither when it was interrupted and has to run again."""

    value: object = None
    encoded: msgspec.Raw | None = None
    failure: Failure | None = None
    error: BaseException | None = None
    interrupted: bool = False
    started_at: float = 0.0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    let_go: bool = False  # the body would not end, and may still run: its job ends without it
