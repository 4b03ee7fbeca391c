"""The class `Job`: the methods of the worker that a running body may call."""

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
    """The running job, as the function of the task sees it.

    The worker makes it. `Job.local(folder)` makes one for a unit test.

    In a worker of pool `main`, a cancel and a time limit raise an exception at any point of the body. In pool `io`, the
    next call of the job raises it, and after a short time it is raised at any point of the body's Python code where
    that is safe. When the worker stops, the next `checkpoint` raises, because no progress is lost there. A body that
    reaches no checkpoint is interrupted after the worker's grace time. With `worker.running_job: hold` (the default),
    the job waits in `checkpoint`, `progress` or `check` while power is too low for it. That time does not count for its
    time limit. Call all methods except `spawn` only in the thread of the body.
    """

    #: By this attribute `Signature` finds the parameter that the worker supplies.
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
        #: Id of the job.
        self.id = job_id
        #: Ordinal of this attempt, counted from 1.
        self.attempt = attempt
        #: The `settings:` of this kind of job in `edge.yaml`.
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
        self._saves = False  # True if the body makes checkpoints; then a hold waits for the next one

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

        `inputs` are the input files of the job, by name. Every checkpoint is written. Spawned jobs do not run: each
        call of `spawn` appends a line of JSON to the file `spawned.jsonl` in `folder`.
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
        """The folder of this kind of job. It is kept between jobs, for a database or a cache. Raises OSError."""
        self._folder.mkdir(parents=True, exist_ok=True)
        return self._folder

    @property
    def restored(self) -> JsonValue:
        """The state that an earlier attempt passed to `checkpoint`, as decoded JSON, or None if none was saved."""
        if self._restored is None:
            self._restored = (self._checkpoint.read(),)
        return self._restored[0]

    def file(self, name: str) -> Path:
        """Return the path of an artifact. The body writes it, and it is published with the result.

        Raises:
            ValueError: `name` is not a plain file name.
            OSError: the folder cannot be made.
        """
        return self._files(name)

    def input(self, name: str) -> Path:
        """Return the path of an input file. Open it for reading only, because other jobs may use the same file.

        The name of the file is a hash, without a file extension. The file stays there until the job has ended.

        Raises:
            UsageError: the job has no input file of this name.
        """
        if name not in self._inputs:
            known = ", ".join(sorted(self._inputs)) or "none"
            raise UsageError(f"input {name[:80]!r}: the inputs of this job are: {known}")
        return self._inputs[name]

    def progress(self, done: float, total: float = 0, note: str = "") -> None:
        """Report the progress of the job. Cheap enough for an inner loop: it is written at most four times a second.

        It waits and raises as `check` does.

        Args:
            done: the part that is done, in any unit.
            total: the whole in the same unit, or 0 if it is not known.
            note: a short text for people; the first 200 characters are kept.
        """
        self._check(patient=self._saves)
        with self._shield():
            self._report(Progress(float(done), float(total), str(note)[:200]))

    def checkpoint(self, state: object) -> None:
        """Save the state from which the job can continue after a power cut.

        Call it at any rate: the state is written only every few seconds, and always when the worker stops or power
        falls. The call may last a whole night, because the job waits here while power is too low.

        Args:
            state: any value that JSON can represent.

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

        The job is submitted once, even if this body runs again, and it stays if this job fails later. Its id comes from
        this job's id and `key`. Without a key, it comes from this job's id and the number of earlier calls without a
        key. So give each job a key if another attempt may spawn other jobs, or the same jobs in another order. The new
        job has the power class, the retries and the time limit of its kind. May be called from any thread of the body.

        The named arguments may include options that decide when the job starts, and what happens if a job with the same
        key is open: `delay_s` or `not_before`, `priority`, `unique_key`, `after` (ids of jobs, also of jobs that were
        spawned before) and `after_failure`. They mean the same as in a submission. The option `files` hands input files
        on: a dict of the names of inputs and files, each `job.input(NAME)` or the SHA-256 of a file that the board
        stores. If the kind has an argument with the name of an option, the name means the argument.

        Args:
            task: a function decorated with `@task`, or the name of a kind of job.
            *args: positional arguments of the job.
            key: 1 to 255 printable ASCII characters, a different key for each job.
            **kwargs: named arguments of the job, and the options above.

        Raises:
            UnknownTask: no kind of job has this name.
            BadArguments: the kind does not take these arguments or files.
            KeyReused: another job was spawned with this key, or at this place in the order.
            UsageError: the key, a file or an option is not usable, too many jobs were spawned, or this job cannot
                spawn.
            OSError: the jobs of earlier attempts cannot be read, or the disk or the head refuses jobs and no more can
                wait in memory.
        """
        if self._spawner is None:
            raise UsageError("this job cannot spawn others")
        # Signal handlers, which interrupt a body, run in the main thread only. So other threads need no shield.
        main = threading.current_thread() is threading.main_thread()
        with self._shield() if main else nullcontext():
            return self._spawner.spawn(task, args, kwargs, key=key)

    def check(self) -> None:
        """Return once power allows the job to continue.

        Raises if the job was cancelled, has reached its time limit, or the worker stops. A body that makes checkpoints
        waits here only if it makes none for 2 s, because it is better held at a checkpoint. At `critical` the call
        returns at once: the body has `power.critical.grace_s` to reach a checkpoint or its end.
        """
        self._check(patient=self._saves)
