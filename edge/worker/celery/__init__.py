"""Celery, bound to this appliance.

- `app`: the Celery app, configured from `edge.yaml`
- `task`: `@task`: one typed function becomes a kind of job
- `modules`: imports the task modules that the configuration names
- `commands`: a Celery task of each command of `edge.yaml`
- `catalogue`: prints the kinds of job as JSON, for the gateway
- `backend`: Celery's result backend, for `solve.delay(...).get()`
- `request`: `current_task.request` and Celery's signals around a body
- `controller`: the worker program: solo pool, no periodic wake-ups
- `consumer`: Celery's consumer with fewer steps, which waits for the broker
- `main`: `edge worker` and `python -m edge.worker`
"""
