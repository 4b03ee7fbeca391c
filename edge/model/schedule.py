"""The records of periodic jobs: the schedule that a submitter sends, and the fate of each slot."""

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
    """Return True if `text` can name a schedule."""
    return _NAME.fullmatch(text) is not None


class Missed(StrEnum):
    """What happens to the slots that became due while the board was off or did not know the time."""

    LAST = "last"  # only the last one runs
    ALL = "all"  # each of them runs, at most the last hundred
    SKIP = "skip"  # none of them runs


class Overlap(StrEnum):
    """What happens to a slot while an earlier job of the schedule has not ended."""

    SKIP = "skip"  # it makes no job
    QUEUE = "queue"  # its job waits for the earlier job
    ALLOW = "allow"  # its job may run at the same time as the earlier job


class Fate(StrEnum):
    """What happened to a slot."""

    RAN = "ran"  # it made a job
    COALESCED = "coalesced"  # a later slot made a job in its place
    SKIPPED = "skipped"


class Schedule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A periodic job: the body of `PUT /v1/schedules/NAME`."""

    task: TaskName
    args: list[JsonValue] = []
    kwargs: JsonObject = {}
    power: Power | None = None  # if None, the power class of the task
    priority: Priority | None = None
    retries: Retries | None = None
    time_limit_s: TimeLimit | None = None
    deadline_s: TimeLimit | None = None
    max_temp_c: MaxTemp | None = None
    files: InputFiles = {}  # input files of each job of the schedule
    cron: str | None = None  # five fields, or a name such as @daily
    every_s: EverySeconds | None = None  # instead of `cron`: an interval, counted from 1970 in UTC
    timezone: str | None = None  # IANA name; if None, the zone of the board
    missed: Missed = Missed.LAST
    within_s: Annotated[float, Meta(gt=0, le=31_536_000)] | None = None  # a slot that is later than this is skipped
    overlap: Overlap = Overlap.SKIP
    jitter_s: Jitter = 0.0  # longest delay of a slot; the actual delay is fixed for this schedule on this board
    paused: bool = False
