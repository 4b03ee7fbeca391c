"""Jobs that the body of a job spawns, on their way to the gateway."""

from __future__ import annotations

from hashlib import sha256
from typing import Annotated

import msgspec
from msgspec import Meta

from edge.core.values import JsonObject, JsonValue
from edge.model.ids import spawned_job_id
from edge.model.job import Retries, TaskName, TimeLimit
from edge.model.power import Power
from edge.model.waits import Waits

#: Most jobs that one job may spawn: its result names each.
MOST_CHILDREN = 100_000

_encode = msgspec.json.Encoder(order="deterministic").encode


def spawned_fingerprint(task: str, args: list[JsonValue], kwargs: JsonObject) -> bytes:
    """Return a hash that distinguishes two jobs spawned in the same place. Defaults of the task are not part of it."""
    return sha256(_encode((task, args, kwargs))).digest()


class SpawnedJob(Waits, msgspec.Struct, frozen=True, omit_defaults=True):
    """A job as a body spawned it, checked, with the settings of its kind."""

    task: TaskName
    args: list[JsonValue] = []
    kwargs: JsonObject = {}
    power: Power = Power.NORMAL
    retries: Retries = 0
    time_limit_s: TimeLimit | None = None
    key: Annotated[str, Meta(max_length=255)] = ""
    own_id: Annotated[str, Meta(max_length=128)] = ""  # of a job that came by plain Celery: it has its id already
    call: Annotated[int, Meta(ge=0, le=MOST_CHILDREN)] = 0  # ordinal of a call without a key, counted from 1

    def id(self, parent: str) -> str:
        """The id it has as a job of `parent`."""
        return self.own_id or spawned_job_id(parent, key=self.key, call=self.call)

    @property
    def fingerprint(self) -> bytes:
        """As `spawned_fingerprint`."""
        return spawned_fingerprint(self.task, self.args, self.kwargs)


class SpawnedJobs(msgspec.Struct, frozen=True, omit_defaults=True):
    """Jobs that the body of the job `id` spawned, in their order: the content of one file in `spawned/`."""

    id: str
    jobs: Annotated[tuple[SpawnedJob, ...], Meta(max_length=1000)] = ()
    submitter: Annotated[str, Meta(max_length=64)] = ""  # of the parent; empty: it did not come through the gateway
    format: int = 1
