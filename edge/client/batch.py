"""Submissions as lines of JSON, many to a request, each with its own key."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

import msgspec

from edge.client.job import Job
from edge.core.errors import BadArguments, EdgeError, UsageError
from edge.core.values import JsonObject
from edge.model import Locality, Submission, fresh_key
from edge.wire import KEY_RULE, BatchItem, is_key

_JOBS, _BYTES = 1000, 1 << 20  # well inside the gateway's own limits
#: Lines that name one another go in one request, as large as a gateway takes where nobody has changed its limits.
_LINKED_JOBS, _LINKED_BYTES = 10_000, 16 << 20


class BatchRefused(EdgeError, ValueError):
    """Some jobs of a batch were refused: `jobs` were accepted and run, `refused` holds (index, error)."""

    exit_code = 2

    def __init__(self, jobs: list[Job], refused: list[tuple[int, EdgeError]]) -> None:
        self.jobs, self.refused = jobs, refused
        index, first = refused[0]
        super().__init__(f"{len(refused)} of {len(jobs) + len(refused)} jobs refused; job {index + 1}: {first}")


def checked_key(key: str) -> str:
    """The idempotency key itself when it can be a header; raises UsageError."""
    if not is_key(key):
        raise UsageError(f"key {key[:80]!r}: {KEY_RULE}")
    return key


def encoded(submission: Submission | BatchItem) -> bytes:
    """One line of JSON; raises BadArguments.

    Goes through the standard encoder: msgspec would turn NaN into null without a word.
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
    """`jobs` in order, cut into requests of a bounded size; whoever has no key gets a fresh one."""
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
