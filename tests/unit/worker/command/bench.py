"""A test bench that runs a command as a worker does, with a host that the test plays."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

import pytest

from edge.broker.border import Message
from edge.config import CommandConfig, Config
from edge.core.values import JsonObject, JsonValue
from edge.core.wakeup import Wakeup
from edge.model import InputFile, Progress
from edge.worker.api.checkpoint import Checkpoint
from edge.worker.attempt.delivery import Delivery
from edge.worker.command.cgroup import Cgroups
from edge.worker.command.run import Run
from edge.worker.command.sandbox import bubblewrap
from edge.worker.command.shared import Commands
from edge.worker.power.meter import Usage
from edge.worker.process.control import JobControl

needs_cgroup = pytest.mark.skipif(
    not Cgroups("bench").usable, reason=f"no cgroup for programs: {Cgroups('bench').why_not}"
)
needs_bubblewrap = pytest.mark.skipif(bubblewrap() is None, reason="bubblewrap is not installed")


class PlayedHost:
    """A host whose answers the test sets at any time and from any thread."""

    def __init__(self, files: Path) -> None:
        self.files_folder = files
        self.ending = False
        self.held = threading.Event()  # set while the program may continue
        self.held.set()
        self.holds = 0
        self.reported: list[Progress] = []
        self.usage: Usage | None = None
        self.raises: JobControl | None = None
        self._wake: Callable[[], None] = lambda: None

    def wake(self) -> None:
        """Make the run call `check`."""
        self._wake()

    def end_by(self, why: JobControl) -> None:
        """Raise `why` in the run."""
        self.raises = why
        self.wake()

    def progress(self, progress: Progress) -> None:
        self.reported.append(progress)

    def files(self, path_of: Callable[[str], Path]) -> Callable[[str], Path]:
        return path_of

    def file(self, name: str) -> Path:
        self.files_folder.mkdir(exist_ok=True)
        return self.files_folder / name

    def stopping(self) -> bool:
        return self.ending

    @contextmanager
    def shield(self) -> Iterator[None]:
        yield

    def check(self, *, saved: bool = False, patient: bool = False, save: Callable[[], bool] | None = None) -> None:
        if self.raises is not None:
            raise self.raises
        if not self.held.is_set():
            self.holds += 1
            if save is not None:
                save()
            self.held.wait(30)

    @contextmanager
    def waking(self, wakeup: Wakeup) -> Iterator[None]:
        self._wake = wakeup.wake
        try:
            yield
        finally:
            self._wake = lambda: None

    def used(self, usage: Usage) -> None:
        self.usage = usage


class Bench:
    """Runs commands in its own folder."""

    def __init__(self, folder: Path) -> None:
        self.config = Config(root=folder / "root", run=folder / "run")
        self.commands = Commands(self.config)
        self.host = PlayedHost(folder / "files")
        self.job_id = "aa0001"
        self.files: dict[str, InputFile] = {}

    @property
    def checkpoint_folder(self) -> Path:
        """The folder EDGE_CHECKPOINT of the job."""
        return self.config.layout.checkpoints / f"{self.job_id}.d"

    def run(self, command: CommandConfig, values: JsonObject | None = None, *, attempt: int = 1) -> JsonValue:
        """Run a command to its end, in this thread."""
        delivery = Delivery(
            message=cast("Message", None),
            queue="edge.normal",
            id=self.job_id,
            task=command.name,
            files=self.files,
        )
        checkpoint = Checkpoint(self.config.layout.checkpoints / f"{self.job_id}.json", every_s=0.0)
        run = Run(self.commands, delivery, host=self.host, file=self.host.file, checkpoint=checkpoint, attempt=attempt)
        return run(command, values or {})

    def give(self, name: str, content: bytes, *, name_there: str | None = None) -> Path:
        """Store an input file of the job, and return its path."""
        found = sha256(content).hexdigest()
        path = self.config.layout.files / found
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        path.chmod(0o440)
        self.files[name] = InputFile(found, name_there, len(content))
        return path

    def left(self) -> list[str]:
        """Return what is left in the folders of programs."""
        work = self.config.layout.work(self.config.worker.name)
        return sorted(path.name for path in work.iterdir()) if work.is_dir() else []


def sh(script: str, *words: str, **fields: Any) -> CommandConfig:
    """Return a command that runs a shell script, as an owner may write one."""
    return CommandConfig(
        name="script", run=("sh", "-c", script.replace("{", "{{").replace("}", "}}"), "script", *words), **fields
    )


def until(condition: Callable[[], object], *, within_s: float = 20.0) -> None:
    """Wait for `condition` with a deadline."""
    end = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < end, "it did not come in time"
        time.sleep(0.01)
