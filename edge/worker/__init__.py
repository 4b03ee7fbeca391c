"""The worker: a Celery app that runs each job once its power is good, and makes every message a result.

A task file needs only this::

    from edge.worker import Job, task

    @task
    def double(number: int, job: Job) -> int:
        return 2 * number
"""

from edge.worker.app import app
from edge.worker.job import Job
from edge.worker.task import task

__all__ = ["Job", "app", "task"]
