"""The worker: a Celery app that runs each job once its power is good, and makes every message a result.

A task file needs only this::

    from edge.worker import Job, task

    @task
    def double(number: int, job: Job) -> int:
        return 2 * number

- `api`: what the body of a task may ask of its worker
- `celery`: the app, `@task`, the worker program and its consumer
- `context`: all parts of one worker process, put together
- `orders`: carries out what the gateway asks by files in `run/orders`
- `intake`: messages from the broker, as far as power lets them in
- `flow`: moves attempts on, commits and acknowledges them
- `attempt`: one attempt at a job, from its message to its result
- `executor`: runs a body and can interrupt it
- `power`: what power means for the job that runs or is about to
- `process`: the worker's name and locks, what it tells and what it is told
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
    from importlib import import_module  # only for these three

    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value
