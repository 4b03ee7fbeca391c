"""The worker: a Celery app that runs each job once power is good enough, and ends every message in a result.

A task file needs only this::

    from edge.worker import Job, task

    @task
    def double(number: int, job: Job) -> int:
        return 2 * number

- `api`: what the body of a task may ask of its worker
- `celery`: the app, `@task`, the worker program and its consumer
- `context`: builds all parts of one worker process
- `orders`: carries out what the gateway asks by files in `run/orders`
- `intake`: takes messages from the broker, as far as power allows
- `flow`: moves attempts on, commits and acknowledges them
- `attempt`: one attempt at a job, from its message to its result
- `executor`: runs a body and can interrupt it
- `command`: runs a program as the body of a job
- `power`: how power decides about the job that runs or is about to run
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
    from importlib import import_module  # only for these three

    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value
