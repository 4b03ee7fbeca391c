"""Encodes submissions as lines of JSON, many in one request, each with its own key."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

import msgspec

from edge.client.job import Job
from edge.core.errors import BadArguments, EdgeError, UsageError
from edge.core.values import JsonObject
from edge.model import Locality, Submission, fresh_key
from edge.wire import KEY_RULE, BatchItem, is_key

_JOBS, _BYTES = 1000, 1 << 20  # far below the gateway's own limits
#: Lines that refer to one another must be in one request. It may be as large as the gateway's default limits.
_LINKED_JOBS, _LINKED_BYTES = 10_000, 16 << 20


class BatchRefused(EdgeError, ValueError):
    """Some jobs of a batch were refused. `jobs` were accepted and run, `refused` holds (index, error)."""

    exit_code = 2

    def __init__(self, jobs: list[Job], refused: list[tuple[int, EdgeError]]) -> None:
        self.jobs, self.refused = jobs, refused
        index, first = refused[0]
        super().__init__(f"{len(refused)} of {len(jobs) + len(refused)} jobs refused; job {index + 1}: {first}")


def checked_key(key: str) -> str:
    """Return `key` if it can be an idempotency key. Raises UsageError otherwise."""
    if not is_key(key):
        raise UsageError(f"key {key[:80]!r}: {KEY_RULE}")
    return key


def encoded(submission: Submission | BatchItem) -> bytes:
    """Return a submission as one line of JSON. Raises BadArguments.

    Uses the encoder of the standard library, because msgspec silently turns NaN into null.
    """
    try:
        tree = {name: getattr(submission, name) for name in submission.__struct_fields__}
        tree = {name: value for name, value in tree.items() if value is not None}
        files = msgspec.to_builtins(tree.pop("files"))
        if files:  # an older gateway does not know the member
            tree["files"] = files
        return json.dumps(tree, allow_nan=False, separators=(",", ":")).encode()
    except (TypeError, ValueError, RecursionError) as err:
        raise BadArguments(submission.task, f"the arguments are not plain JSON: {err}") from err


def batches(jobs: Iterable[Submission | BatchItem], locality: Locality) -> Iterator[list[tuple[BatchItem, bytes]]]:
    """Yield `jobs` in order, in groups for requests of a bounded size. A job without a key gets a new one."""
    batch: list[tuple[BatchItem, bytes]] = []
    size, linked = 0, False
    for job in jobs:
        fields: JsonObject = {name: getattr(job, name) for name in job.__struct_fields__}
        item = BatchItem(**{**fields, "key": checked_key(fields.get("key") or fresh_key(locality.prefix()))})
        line = encoded(item) + b"\n"
        linked = linked or item.ref is not None
        most_jobs, most_bytes = (_LINKED_JOBS, _LINKED_BYTES) if linked else (_JOBS, _BYTES)
        if batch and (len(batch) == most_jobs or size + len(line) > most_bytes):
            yield batch
            batch, size, linked = [], 0, item.ref is not None
        batch.append((item, line))
        size += len(line)
    if batch:
        yield batch
