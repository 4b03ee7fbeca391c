"""Periodic jobs: what somebody asks for, and what became of each slot."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta

from edge.core.values import JsonObject, JsonValue
from edge.model.input import InputFiles
from edge.model.job import MaxTemp, Retries, TaskName, TimeLimit
from edge.model.power import Power
from edge.model.waits import Priority

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
SCHEDULE_NAME_RULE = "1 to 64 of A-Z a-z 0-9 . _ - starting with a letter or digit"

_YEAR_S = 31_536_000
EverySeconds = Annotated[int, Meta(ge=1, le=_YEAR_S)]
EVERY_SCHEMA: JsonObject = {"type": "integer", "minimum": 1, "maximum": _YEAR_S}
Jitter = Annotated[float, Meta(ge=0, le=86_400)]


def is_schedule_name(text: str) -> bool:
    """True when `text` can name a schedule."""
    return _NAME.fullmatch(text) is not None


class Missed(StrEnum):
    """What happens to the slots that became due while the board was off or did not know the time."""

    LAST = "last"  # the last one runs, for all of them
    ALL = "all"  # each runs, the last hundred at most
    SKIP = "skip"  # none runs


class Overlap(StrEnum):
    """What happens to a slot while a job of the schedule has not ended."""

    SKIP = "skip"  # it does not run
    QUEUE = "queue"  # its job waits for the one before
    ALLOW = "allow"  # its job runs beside the earlier one


class Fate(StrEnum):
    """What became of a slot."""

    RAN = "ran"  # it made a job
    COALESCED = "coalesced"  # a later slot ran for it
    SKIPPED = "skipped"


class Schedule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A periodic job as somebody asks for it: the body of `PUT /v1/schedules/NAME`."""

    task: TaskName
    args: list[JsonValue] = []
    kwargs: JsonObject = {}
    power: Power | None = None  # None: the task's own
    priority: Priority | None = None
    retries: Retries | None = None
    time_limit_s: TimeLimit | None = None
    deadline_s: TimeLimit | None = None
    max_temp_c: MaxTemp | None = None
    files: InputFiles = {}  # each of its jobs gets these
    cron: str | None = None  # five fields, or a name such as @daily
    every_s: EverySeconds | None = None  # in place of `cron`: an interval, counted from 1970 in UTC
    timezone: str | None = None  # IANA name; None: that of the board
    missed: Missed = Missed.LAST
    within_s: Annotated[float, Meta(gt=0, le=31_536_000)] | None = None  # a slot that is later is skipped
    overlap: Overlap = Overlap.SKIP
    jitter_s: Jitter = 0.0  # each slot runs later by a part of it, fixed for this schedule on this board
    paused: bool = False
