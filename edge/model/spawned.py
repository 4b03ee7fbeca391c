"""The records of jobs that the body of a job spawns, on their way to the gateway."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Annotated

import msgspec
from msgspec import Meta

from edge.core.values import JsonObject, JsonValue
from edge.model.ids import spawned_job_id
from edge.model.input import InputFile, InputFiles
from edge.model.job import Retries, TaskName, TimeLimit
from edge.model.power import Power
from edge.model.waits import Waits

#: Largest number of jobs that one job may spawn. Its result contains all their ids.
MOST_CHILDREN = 100_000

_encode = msgspec.json.Encoder(order="deterministic").encode


def spawned_fingerprint(
    task: str, args: list[JsonValue], kwargs: JsonObject, *, files: Mapping[str, InputFile]
) -> bytes:
    """Return a hash that distinguishes two jobs spawned with the same key or in the same call.

    Default values of the task are not part of the hash, nor are the names of the files.
    """
    hashes = {name: file.sha256 for name, file in files.items()}
    return sha256(_encode((task, args, kwargs, *([hashes] if hashes else [])))).digest()


class SpawnedJob(Waits, msgspec.Struct, frozen=True, omit_defaults=True):
    """A spawned job after its arguments were checked, with the settings of its kind."""

    task: TaskName
    args: list[JsonValue] = []
    kwargs: JsonObject = {}
    power: Power = Power.NORMAL
    retries: Retries = 0
    time_limit_s: TimeLimit | None = None
    key: Annotated[str, Meta(max_length=255)] = ""
    own_id: Annotated[str, Meta(max_length=128)] = ""  # id of a job spawned by plain Celery, which has its id already
    files: InputFiles = {}  # input files, which the board stores
    call: Annotated[int, Meta(ge=0, le=MOST_CHILDREN)] = 0  # ordinal of a call without a key, counted from 1

    def id(self, parent: str) -> str:
        """Return its id as a job that `parent` spawned."""
        return self.own_id or spawned_job_id(parent, key=self.key, call=self.call)

    @property
    def fingerprint(self) -> bytes:
        """The hash of `spawned_fingerprint` for this job."""
        return spawned_fingerprint(self.task, self.args, self.kwargs, files=self.files)


class SpawnedJobs(msgspec.Struct, frozen=True, omit_defaults=True):
    """The content of one file in `spawned/`: jobs that the body of the job `id` spawned, in order."""

    id: str
    jobs: Annotated[tuple[SpawnedJob, ...], Meta(max_length=1000)] = ()
    submitter: Annotated[str, Meta(max_length=64)] = ""  # of the parent; empty if that did not come through the gateway
    format: int = 1
