"""Makes the `Job` that a body gets, and decides on its time limit."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from edge.config import Config
from edge.core.errors import given
from edge.model import Progress
from edge.results.inputs import Inputs
from edge.worker.api.checkpoint import Checkpoint, every_s
from edge.worker.api.job import Job
from edge.worker.api.kind import TaskKind
from edge.worker.attempt.attempt import Attempt
from edge.worker.attempt.delivery import Delivery
from edge.worker.executor.spawners import Spawners


class JobHost(Protocol):
    """What a `Job` calls on the executor of its body. Belongs to the thread of the body."""

    def progress(self, progress: Progress) -> None:
        """Note how far the body is."""

    def files(self, path_of: Callable[[str], Path]) -> Callable[[str], Path]:
        """Return `path_of`, the function from the name of an artifact to its path, for use by the body."""

    def stopping(self) -> bool:
        """True when the body is to save its state now, because it ends or is held soon."""

    def shield(self) -> AbstractContextManager[None]:
        """Let nothing be raised in the body from outside inside the block."""

    def check(self, *, saved: bool = False, patient: bool = False, save: Callable[[], bool] | None = None) -> None:
        """Return when the body may continue; raise when it is to end. The arguments are those of `Hold.check`."""


class JobMaker:
    """Makes the `Job` of each body of this worker. Belongs to the main thread."""

    def __init__(self, config: Config, spawners: Spawners) -> None:
        self._config, self._spawners = config, spawners

    # `Any`: JSON, and the `Job`.
    def bind(self, attempt: Attempt, task: TaskKind, host: JobHost) -> tuple[dict[str, Any], Checkpoint | None]:
        """Return the arguments of the body, with a `Job` if it has a parameter for one, and the `Job`'s checkpoint."""
        bound: dict[str, Any] = dict(attempt.bound)  # `Any`: JSON, and the `Job`
        if task.edge_signature.wants_job is None:
            return bound, None
        layout, job_id = self._config.layout, attempt.id
        cuts = attempt.earlier.early_cuts if attempt.earlier is not None else 0
        spawner = self._spawners.begin(attempt)
        inputs = Inputs(layout.files)
        path = layout.checkpoints / f"{job_id}.json"
        checkpoint = Checkpoint(path, every_s=every_s(cuts), before=spawner.saved)
        bound[task.edge_signature.wants_job] = Job(
            job_id,
            folder=layout.tasks / task.name,
            files=host.files(given(attempt.staging, "the staging of a body").file),
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

    def limit_s(self, delivery: Delivery, task: TaskKind) -> float | None:
        """Return the submitter's limit, else the task's, but never more than the worker's; None: no limit."""
        limits = (delivery.time_limit_s or task.edge_time_limit_s, self._config.worker.time_limit_s)
        return min((limit for limit in limits if limit is not None), default=None)
