"""What the runs of one worker share, and what an earlier worker of its name left."""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from functools import cached_property
from pathlib import Path

from edge.config import Config
from edge.core import trees
from edge.results.output import ENDED
from edge.worker.command import sandbox
from edge.worker.command.cgroup import Cgroups
from edge.worker.command.child import Reaper

#: How many outputs of ended jobs are kept, for readers that lag behind.
_KEPT = 4


class Commands:
    """What the runs of one worker share. Made at its first command; methods may be called in any thread."""

    def __init__(self, config: Config) -> None:
        self.config, self.layout, self.name = config, config.layout, config.worker.name
        self.reaper = Reaper()
        self._closed: deque[Path] = deque()

    @cached_property
    def cgroups(self) -> Cgroups:
        """The cgroups of this worker, looked for at the first run that needs one."""
        return Cgroups(self.name)

    @cached_property
    def bubblewrap(self) -> str | None:
        """The path of bubblewrap; None: it is not there."""
        return sandbox.bubblewrap()

    @property
    def hidden(self) -> tuple[Path, ...]:
        """What no program may see."""
        return (self.layout.root, self.layout.run)

    def output_of(self, job_id: str) -> Path:
        """Where the output of a job that begins goes; that of an earlier attempt is removed."""
        folder = self.layout.output / self.name / job_id
        if folder in self._closed:
            self._closed.remove(folder)
        if folder.exists():
            trees.remove(folder)
        return folder

    def close_output(self, folder: Path) -> None:
        """Tell readers that no more output comes, and delete the output of all but the last `_KEPT` ended jobs."""
        if not folder.is_dir():
            return
        with suppress(OSError):
            (folder / ENDED).touch()
        self._closed.append(folder)
        while len(self._closed) > _KEPT:
            trees.remove(self._closed.popleft())


def clear(config: Config) -> None:
    """End and remove what programs of an earlier worker of this name left. Called when a worker starts."""
    Cgroups(config.worker.name).clear()
    for folder in (config.layout.work(config.worker.name), config.layout.output / config.worker.name):
        if folder.exists():
            trees.remove(folder)
