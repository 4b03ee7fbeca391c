"""The request of the governor to let the board sleep, the gateway's answer, and the record of the last sleep."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from edge.model.power import Power


class SleepAsk(msgspec.Struct, frozen=True):
    """`run/sleep/ask.json`: the governor asks for sleep. Removing the file withdraws the request."""

    id: str  # new for each request
    boot_id: str
    pid: int  # process id of the governor
    classes: tuple[Power, ...]  # power classes that may run now
    least_s: float  # shortest sleep that is worth it; a job of these classes that is due sooner prevents the sleep
    wake_at: float  # seconds since the epoch, as far as the clock can be trusted
    light: bool = False  # the board stays on and accepts jobs
    begun: bool = False  # the governor carries the sleep out; the gateway cannot call it off any more


class SleepAnswer(msgspec.Struct, frozen=True):
    """`run/backlog/sleep.json`: the answer of the gateway.

    After it has agreed, a job that may run now withdraws the agreement. Unless the sleep is light, that job is refused.
    """

    id: str  # id of the request
    boot_id: str
    pid: int  # process id of the gateway; the answer is valid only while this process lives
    agreed: bool
    why: str = ""  # why the gateway did not agree
    due_s: float | None = None  # seconds until the next job of the classes is due
    again_s: float | None = None  # seconds before which the gateway will not agree


class NodeAway(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`PUT /v1/away`: a node goes down to sleep."""

    awake_at: Annotated[float, Meta(ge=0, le=1e11, description="when it is awake again, seconds since the epoch")]


class LastSleep(msgspec.Struct, frozen=True):
    """`power/sleep.json`: the last time that the board went down to sleep."""

    went_at: float  # seconds since the epoch
    wake_at: float
    boot_id: str  # id of the boot before the sleep
    boot_s: float | None = None  # seconds from the start of the kernel until a worker ran, a mean over boots
