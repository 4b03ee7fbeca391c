"""The worker: a Celery app that runs each job when there is enough power, and ends every message in a result.

A task file needs only this::

    from edge.worker import Job, task

    @task
    def double(number: int, job: Job) -> int:
        return 2 * number

- `api`: the `Job` of a running task, with the methods that its body may call
- `celery`: the app, `@task`, the worker program and its consumer
- `context`: builds all parts of one worker process
- `orders`: carries out the gateway's orders, which are files in `run/orders`
- `intake`: consumes messages from the broker while power allows it
- `flow`: moves attempts from stage to stage, commits results and acknowledges messages
- `attempt`: one attempt at a job, from its message to its result
- `executor`: runs a body and can interrupt it
- `command`: runs a program as the body of a job
- `power`: decides by power whether a body may begin and when it is held; measures its energy
- `process`: signals, status file and watchdog of the worker process
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edge.worker.api.job import Job
    from edge.worker.celery.app import app
    from edge.worker.celery.task import task

__all__ = ["Job", "app", "task"]

_HOMES = {"Job": "edge.worker.api.job", "app": "edge.worker.celery.app", "task": "edge.worker.celery.task"}


def __getattr__(name: str) -> object:
    """Load `Job`, `app` or `task` at its first use: the freezer and the CLI import this package without Celery."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module  # loaded only if one of these names is used

    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value
