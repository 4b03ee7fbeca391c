"""Makes the `Job` of a body, or the `Run` of a command, and decides on the time limit of the body."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.config import Config
from edge.core.errors import not_none
from edge.results.inputs import Inputs
from edge.worker.api.checkpoint import Checkpoint, every_s
from edge.worker.api.job import Job
from edge.worker.api.kind import TaskKind
from edge.worker.attempt.attempt import Attempt
from edge.worker.attempt.delivery import Delivery
from edge.worker.command.host import JobHost
from edge.worker.executor.spawners import Spawners

if TYPE_CHECKING:
    from edge.worker.command.run import Run
    from edge.worker.command.shared import Commands


class JobMaker:
    """Makes the `Job` or the `Run` of each body of this worker. Belongs to the main thread."""

    def __init__(self, config: Config, spawners: Spawners) -> None:
        self._config, self._spawners = config, spawners
        self._commands: Commands | None = None

    # `Any`: JSON, and the `Job` or the `Run`.
    def bind(self, attempt: Attempt, task: TaskKind, host: JobHost) -> tuple[dict[str, Any], Checkpoint | None]:
        """Return the arguments and the checkpoint of the body.

        A body that has a parameter for it gets a `Job`, and a command gets a `Run`. Other bodies have no checkpoint.
        """
        bound: dict[str, Any] = dict(attempt.bound)  # `Any`: JSON, and the `Job` or the `Run`
        if task.edge_signature.job_parameter is None:
            return bound, None
        layout, job_id = self._config.layout, attempt.id
        cuts = attempt.earlier.early_cuts if attempt.earlier is not None else 0
        files = host.files(not_none(attempt.staging, "the staging of a body").file)
        if task.edge_command is not None:
            checkpoint = Checkpoint(layout.checkpoints / f"{job_id}.json", every_s=every_s(cuts))
            bound[task.edge_signature.job_parameter] = self._run(attempt, host, files, checkpoint)
            return bound, checkpoint
        spawner = self._spawners.begin(attempt)
        inputs = Inputs(layout.files)
        path = layout.checkpoints / f"{job_id}.json"
        checkpoint = Checkpoint(path, every_s=every_s(cuts), before=spawner.saved)
        bound[task.edge_signature.job_parameter] = Job(
            job_id,
            folder=layout.tasks / task.name,
            files=files,
            checkpoint=checkpoint,
            attempt=attempt.number,
            settings=self._config.settings.get(task.name),
            report=host.progress,
            check=host.check,
            stopping=host.stopping,
            shield=host.shield,
            spawner=spawner,
            inputs={name: inputs.path(file.sha256) for name, file in attempt.delivery.files.items()},
        )
        return bound, checkpoint

    def _run(self, attempt: Attempt, host: JobHost, files: Callable[[str], Path], checkpoint: Checkpoint) -> Run:
        """Return the runner of an attempt's program. It is imported here, because most boards have no commands."""
        from edge.worker.command.run import Run
        from edge.worker.command.shared import Commands

        if self._commands is None:
            self._commands = Commands(self._config)
        return Run(
            self._commands, attempt.delivery, host=host, file=files, checkpoint=checkpoint, attempt=attempt.number
        )

    def limit_s(self, delivery: Delivery, task: TaskKind) -> float | None:
        """Return the time limit in seconds, or None if there is none.

        It is the limit of the submitter, else that of the task, but never more than that of the worker.
        """
        limits = (delivery.time_limit_s or task.edge_time_limit_s, self._config.worker.time_limit_s)
        return min((limit for limit in limits if limit is not None), default=None)
