"""The parameter annotated `Job` of a task: what the worker offers to a running body."""

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
    """The job that a body runs for. The worker makes it; `Job.local(folder)` makes one for a unit test.

    A cancel and a time limit raise an exception wherever the body is. When the worker stops, the next `checkpoint`
    raises, because nothing is lost there; a body that reaches none is interrupted after the worker's grace time. While
    power is too low for the job, it waits in `checkpoint`, `progress` or `check`. That time does not count for its
    limit. All methods but `spawn` belong to the thread of the body.
    """

    #: `Signature` recognises by this attribute a parameter that the worker fills in.
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
        inputs: Mapping[str, Path] | None = None,
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
        self._inputs: Mapping[str, Path] = inputs or {}
        self._restored: tuple[JsonValue] | None = None
        self._saves = False  # the body makes checkpoints: a hold waits for the next one

    @classmethod
    def local(
        cls,
        folder: Path,
        *,
        job_id: str = "local",
        attempt: int = 1,
        settings: Mapping[str, JsonValue] | None = None,
        inputs: Mapping[str, Path] | None = None,
    ) -> Job:
        """Return a job without a worker, with artifacts, checkpoint and kept files in `folder`.

        `inputs` are the files that it is given, by name.

        Every checkpoint is written. Spawned jobs do not run: each call appends a line of JSON to `spawned.jsonl` there.
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
            inputs=inputs,
        )

    @property
    def folder(self) -> Path:
        """The folder of this kind of job, kept between jobs (for a database, a cache). Raises OSError."""
        self._folder.mkdir(parents=True, exist_ok=True)
        return self._folder

    @property
    def restored(self) -> JsonValue:
        """What an earlier attempt passed to `checkpoint`, as decoded JSON; None on a first start."""
        if self._restored is None:
            self._restored = (self._checkpoint.read(),)
        return self._restored[0]

    def file(self, name: str) -> Path:
        """Return a path to write an artifact to, which is published with the result.

        Raises:
            ValueError: `name` is not a plain file name.
            OSError: the folder cannot be made.
        """
        return self._files(name)

    def input(self, name: str) -> Path:
        """Return the path of a file that the job was given. Open it for reading only: other jobs may have the same.

        Its name is a hash, without an ending. The file stays there until the job has ended.

        Raises:
            UsageError: the job was given no file of this name.
        """
        if name not in self._inputs:
            known = ", ".join(sorted(self._inputs)) or "none"
            raise UsageError(f"input {name[:80]!r}: this job was given {known}")
        return self._inputs[name]

    def progress(self, done: float, total: float = 0, note: str = "") -> None:
        """Report how far the job is. Cheap enough for an inner loop: the status is written at most four times a second.

        Like `check`, it holds the job while power is too low, and raises when the job has to end.
        """
        self._check(patient=self._saves)
        with self._shield():
            self._report(Progress(float(done), float(total), str(note)[:200]))

    def checkpoint(self, state: object) -> None:
        """Save what the job needs to continue from here after a power cut.

        Call it at any rate: it is written at most every few seconds, and always when the worker stops or power falls.
        The call may last a whole night: here the job waits while power is too low.

        Args:
            state: anything that JSON can represent.

        Raises:
            TypeError: JSON cannot represent the state.
        """
        self._saves = True

        def save(*, now: bool = True) -> bool:
            with self._shield():
                return self._checkpoint.save(state, now=now)

        saved = save(now=self._stopping())
        self._check(saved=saved and self._stopping(), save=save)

    def spawn(self, task: object, /, *args: object, key: str | None = None, **kwargs: object) -> str:
        """Submit another job and return its id.

        The job is submitted once, however often this body runs again, and it stays when this job fails later. Its id
        comes from this job's id and `key`; without a key, from the ordinal of the call among those without one. So
        give each job a key where another attempt may spawn other jobs, or the same in another order. The new job has
        the power class, the retries and the time limit of its kind. May be called from any thread of the body.

        Among the named arguments may also be what lets the job wait, as in a submission: `delay_s` or `not_before`,
        `priority`, `unique_key`, `after` (ids, those of jobs that were spawned before, too) and `after_failure`. If the
        kind has an argument of such a name, it is that argument.

        Args:
            task: what `@task` made, or the name of a kind of job.
            *args: positional arguments of the job.
            key: 1 to 255 printable ASCII characters, one key a job.
            **kwargs: named arguments of the job, and what lets it wait.

        Raises:
            UnknownTask: no kind of job has this name.
            BadArguments: the kind does not take these arguments.
            KeyReused: another job was spawned with this key, or at this place in the order.
            UsageError: the key is not usable, or too many jobs were spawned.
            OSError: what earlier attempts spawned cannot be read, or the disk or the head has refused so many jobs
                that no more can wait in memory.
        """
        if self._spawner is None:
            raise UsageError("this job cannot spawn others")
        # Bodies are interrupted by signals, whose handlers run in the main thread only: other threads need no shield.
        main = threading.current_thread() is threading.main_thread()
        with self._shield() if main else nullcontext():
            return self._spawner.spawn(task, args, kwargs, key=key)

    def check(self) -> None:
        """Return once power allows the job to continue; raise when it was cancelled, is out of time or has to stop."""
        self._check(patient=self._saves)
