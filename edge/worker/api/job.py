"""What a running job may ask of its worker: the parameter annotated `Job` of a task."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import ClassVar

from edge.core.errors import UsageError
from edge.core.values import JsonValue
from edge.model import Progress
from edge.results.staging import check_artifact_name
from edge.worker.api.checkpoint import Checkpoint
from edge.worker.api.spawner import LocalSpawner, Spawning


class Job:
    """The job a body works for. Made by the worker; `Job.local(folder)` makes one for a unit test.

    A cancel and a time limit arrive as an exception, wherever the body is. A stop of the worker is taken at the next
    `checkpoint`, where nothing is lost by it; a body that reaches none is interrupted after the worker's grace time.
    While power is too low for the job it waits in `checkpoint`, `progress` or `check`; that time is not its own.
    """

    #: How `Signature` knows a parameter that the worker fills in.
    __edge_job__: ClassVar[bool] = True

    def __init__(
        self,
        job_id: str,
        *,
        folder: Path,
        files: Callable[[str], Path],
        checkpoint: Checkpoint,
        attempt: int = 1,
        settings: Mapping[str, JsonValue] | None = None,
        report: Callable[[Progress], None] = lambda _progress: None,
        check: Callable[..., None] = lambda **_: None,
        stopping: Callable[[], bool] = lambda: False,
        shield: Callable[[], AbstractContextManager[None]] = nullcontext,
        spawner: Spawning | None = None,
    ) -> None:
        self.id = job_id
        self.attempt = attempt
        self.settings: Mapping[str, JsonValue] = settings or {}
        self._folder = folder
        self._files = files
        self._checkpoint = checkpoint
        self._report = report
        self._check = check
        self._stopping = stopping
        self._shield = shield
        self._spawner = spawner
        self._restored: tuple[JsonValue] | None = None
        self._saves = False  # makes checkpoints: the places to be held at

    @classmethod
    def local(
        cls, folder: Path, *, job_id: str = "local", attempt: int = 1, settings: Mapping[str, JsonValue] | None = None
    ) -> Job:
        """A job without a worker: artifacts, checkpoint and kept files lie in `folder`; every checkpoint is written.

        What is spawned does not run: each call is a line of JSON in `spawned.jsonl` there.
        """

        def file(name: str) -> Path:
            return folder / check_artifact_name(name)

        checkpoint = Checkpoint(folder / "checkpoint.json", every_s=0.0)
        return cls(
            job_id,
            folder=folder / "kept",
            files=file,
            checkpoint=checkpoint,
            attempt=attempt,
            settings=settings,
            spawner=LocalSpawner(job_id, folder / "spawned.jsonl"),
        )

    @property
    def folder(self) -> Path:
        """A folder of this kind of job that is kept between jobs (a database, a cache)."""
        self._folder.mkdir(parents=True, exist_ok=True)
        return self._folder

    @property
    def restored(self) -> JsonValue:
        """What an earlier attempt gave to `checkpoint`, as JSON gives it back; None on a fresh start."""
        if self._restored is None:
            self._restored = (self._checkpoint.read(),)
        return self._restored[0]

    def file(self, name: str) -> Path:
        """A path to write an artifact to; it is published with the result. Raises ValueError on a bad name."""
        return self._files(name)

    def progress(self, done: float, total: float = 0, note: str = "") -> None:
        """Say how far the job is; cheap enough for an inner loop, written at most four times a second.

        As `check`, it is a place where the job may be held while there is no power for it.
        """
        self._check(patient=self._saves)
        with self._shield():
            self._report(Progress(float(done), float(total), str(note)[:200]))

    def checkpoint(self, state: object) -> None:
        """Save what the job needs to go on from here after a power cut; anything that JSON can carry. May take a night:
        here the job waits while there is no power for it.

        Call it as often as you like: it is written when enough time has passed for the write to pay, and always
        when the worker stops or power falls.
        """
        self._saves = True

        def save(*, now: bool = True) -> bool:
            with self._shield():
                return self._checkpoint.save(state, now=now)

        saved = save(now=self._stopping())
        self._check(saved=saved and self._stopping(), save=save)

    def spawn(self, task: object, /, *args: object, key: str | None = None, **kwargs: object) -> str:
        """Hand in another job, of `task` (what `@task` made, or its name) with these arguments; returns its id.

        The job is made once, through any cut and any further attempt at this one, also when this one fails later. Its
        id comes from this job's id and `key`, or else from the order of the calls without a key: where another attempt
        may spawn other jobs, or in another order, give each a key of its own. It has the power class, the retries and
        the time limit of its kind. May be called from any thread of the body.

        Raises:
            UnknownTask: no kind of job has this name.
            BadArguments: the kind does not take these arguments.
            KeyReused: another job was spawned with this key, or at this place in the order.
            UsageError: the key cannot be one, or too many jobs were spawned.
        """
        if self._spawner is None:
            raise UsageError("this job cannot spawn others")
        # Signals, by which a body is interrupted, reach the main thread alone.
        main = threading.current_thread() is threading.main_thread()
        with self._shield() if main else nullcontext():
            return self._spawner.spawn(task, args, kwargs, key=key)

    def check(self) -> None:
        """Return when the job may go on, once power allows it; raise when it was cancelled, is out of time or has to
        stop now.
        """
        self._check(patient=self._saves)
