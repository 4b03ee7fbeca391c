"""Adapts Celery to this appliance: the app, the decorator `@task`, and the worker program.

- `app`: the Celery app, configured from `edge.yaml`
- `task`: the decorator `@task`, which makes a kind of job of a typed function
- `modules`: imports the task modules that the configuration names
- `commands`: makes a Celery task of each command of `edge.yaml`
- `catalogue`: prints the kinds of job as JSON, for the gateway
- `backend`: Celery's result backend, for `solve.delay(...).get()`
- `request`: sets `current_task.request` and sends Celery's signals before and after a body
- `controller`: the worker program: solo pool, no periodic wake-ups
- `consumer`: Celery's consumer with fewer steps, which waits for the broker
- `main`: the entry point of `edge worker` and `python -m edge.worker`
"""
