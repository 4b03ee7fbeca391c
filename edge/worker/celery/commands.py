"""Makes a Celery task of each command of `edge.yaml`, so that all other code treats it like any kind of job."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edge.catalog.commands import HOST, description_of, signature_of
from edge.config import CommandConfig
from edge.core.values import JsonValue
from edge.worker.command.run import Run


# `Any`: the Celery app; Celery ships no types.
def add_commands(app: Any, commands: tuple[CommandConfig, ...]) -> dict[str, str]:
    """Register a task for each command.

    Returns:
        One line about each command whose name belongs to a task of a module already.
    """
    errors = {}
    for command in commands:
        taken = app._tasks.get(command.name)  # noqa: SLF001 - as `@task`
        if taken is not None and getattr(taken, "edge_command", None) is None:
            errors[f"commands {command.name}"] = f"a task named {command.name!r} is in {taken.__module__} already"
            continue
        app._tasks.pop(command.name, None)  # noqa: SLF001 - a command of an earlier configuration
        app._task_from_fun(  # noqa: SLF001 - as `@task`
            _body(command),
            name=command.name,
            edge_signature=signature_of(command),
            edge_power=command.power,
            edge_pool=command.pool,
            edge_retries=command.retries,
            edge_time_limit_s=command.time_limit_s,
            edge_command=command,
        )
    return errors


def _body(command: CommandConfig) -> Callable[..., JsonValue]:
    def body(**bound: Any) -> JsonValue:  # `Any`: JSON and the `Run`
        run: Run = bound.pop(HOST)
        return run(command, bound)

    # The function keeps its own name. Celery writes the name into source code, and that of a command may be `to-mp4`
    # or `import`.
    body.__doc__ = description_of(command)
    return body
