"""Encodes a job as a message of Celery's protocol 2, with an additional header `edge` for our worker."""

from __future__ import annotations

import msgspec

from edge.ledger.rows import JobRow


def message(job: JobRow, *, origin: str) -> tuple[bytes, dict[str, object], dict[str, object]]:
    """Return body, headers and properties of the message for `job`.

    Args:
        job: the row of the ledger.
        origin: name of the sender.

    Raises:
        ValueError, TypeError, RecursionError: the arguments in the ledger are damaged.
    """
    args, kwargs = job.call()
    files = msgspec.to_builtins(job.inputs())
    embed = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
    headers: dict[str, object] = {
        "lang": "py",
        "task": job.task,
        "id": job.id,
        "root_id": job.id,
        "parent_id": None,
        "group": None,
        "retries": 0,
        "eta": None,
        "expires": None,
        "timelimit": [None, None],
        "argsrepr": repr(args)[:200],
        "kwargsrepr": repr(kwargs)[:200],
        "origin": origin,
        "edge": {
            "failures": job.failures,
            "retries": job.retries,
            "time_limit_s": job.time_limit_s,
            "max_temp_c": job.max_temp_c,
            "submitter": job.submitter,
            **({"files": files} if files else {}),
        },
    }
    properties = {
        "content_type": "application/json",
        "content_encoding": "utf-8",
        "delivery_mode": 2,
        "correlation_id": job.id,
    }
    return msgspec.json.encode([args, kwargs, embed]), headers, properties
