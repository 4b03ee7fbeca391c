"""What governor and gateway tell each other before the board sleeps, and what is remembered of a sleep."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from edge.model.power import Power


class SleepAsk(msgspec.Struct, frozen=True):
    """`run/sleep/ask.json`: the governor wants the board to sleep. Its removal takes the wish back."""

    id: str  # another one each time
    boot_id: str
    pid: int  # of the governor
    classes: tuple[Power, ...]  # of the jobs that power allows now
    least_s: float  # a job of these classes that is due sooner makes the sleep not worth while
    wake_at: float  # seconds since the epoch, as far as the clock can be trusted
    light: bool = False  # the board stays on and takes jobs


class SleepAnswer(msgspec.Struct, frozen=True):
    """`run/backlog/sleep.json`: the answer of the gateway, which takes no job that may run once it agreed."""

    id: str  # of the ask
    boot_id: str
    pid: int  # of the gateway: what it wrote counts while it lives
    agreed: bool
    why: str = ""  # it did not agree
    due_s: float | None = None  # until the next job of the classes is due
    again_s: float | None = None  # it may agree after so long, but not before


class NodeAway(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`PUT /v1/away`: a node goes down to sleep."""

    awake_at: Annotated[float, Meta(ge=0, le=1e11, description="when it is awake again, seconds since the epoch")]


class LastSleep(msgspec.Struct, frozen=True):
    """`power/sleep.json`: the last time that the board went down to sleep."""

    went_at: float  # seconds since the epoch
    wake_at: float
    boot_id: str  # of the boot that it ended
    boot_s: float | None = None  # from the start of the kernel until a worker ran, a mean over boots
