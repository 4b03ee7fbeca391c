"""Prints the name of each task module before its import, then the kinds of job as JSON, for the gateway.

`edge/catalog/catalogue.py` runs it as `python -m edge.worker.celery.catalogue` and reads its output. If an import ends
the process, the last name that was printed is the module that did it.
"""

from __future__ import annotations

import inspect
import os
import sys

import msgspec

from edge.catalog.catalogue import Listing, TaskInfo
from edge.catalog.commands import inputs_of, is_any
from edge.config import load
from edge.core.errors import EdgeError
from edge.worker.api.kind import TaskKind
from edge.worker.celery.app import app
from edge.worker.celery.modules import load_tasks


def main() -> int:
    """Import the modules and print the kinds of job that they declare. Return the exit code."""
    out = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # text that a module prints must not get into the answer
    try:
        loaded = load()
    except EdgeError as err:
        sys.stderr.write(f"{err}\n")
        return err.exit_code
    app.use(loaded)
    errors = load_tasks(loaded, before=lambda name: _print_now(out, f"{name}\n".encode()))
    kinds = app.edge_tasks()
    listing = Listing(tuple(_info(task) for _, task in sorted(kinds.items())), {**errors, **app.module_errors})
    with os.fdopen(out, "wb") as answer:
        answer.write(msgspec.json.encode(listing))
    return 0


def _print_now(fd: int, line: bytes) -> None:
    os.write(fd, line)  # without a buffer, because the module may end the process


def _info(task: TaskKind) -> TaskInfo:
    description = inspect.getdoc(task.run) or ""
    command = task.edge_command
    return TaskInfo(
        task.name,
        summary=description.partition("\n")[0],
        description=description,
        module=task.__module__ if command is None else "commands",
        positional=task.edge_signature.positional,
        schema=task.edge_signature.schema(),
        power=task.edge_power,
        pool=task.edge_pool,
        retries=task.edge_retries,
        time_limit_s=task.edge_time_limit_s,
        inputs=None if command is None else inputs_of(command),
        one_folder=command is not None and is_any(command),
        scope="" if command is None or command.scope == "submit" else command.scope,
    )


if __name__ == "__main__":
    sys.exit(main())
