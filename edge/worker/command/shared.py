"""Holds the objects that all runs of one worker share, and cleans up after an earlier worker of the same name."""

from __future__ import annotations

import hashlib
import os
from collections import deque
from contextlib import suppress
from functools import cached_property
from pathlib import Path

from edge.config import Config
from edge.core import trees
from edge.results.output import ENDED
from edge.worker.attempt.head import Head
from edge.worker.command import sandbox
from edge.worker.command.cgroup import Cgroups
from edge.worker.command.child import Reaper
from edge.worker.command.live import LiveOutput

#: Number of ended jobs whose output is kept, for readers that are late.
_KEPT = 4


class Commands:
    """The objects that all runs of one worker share. Made at the first command.

    Its methods may be called from any thread.
    """

    def __init__(self, config: Config) -> None:
        self.config, self.layout, self.name = config, config.layout, config.worker.name
        self.reaper = Reaper()
        self.live: LiveOutput | None = None  # sends the output of programs to the head of a node
        if config.node.head_url is not None:
            self.live = LiveOutput(self.layout.output, Head(config.node).output)
        self._closed: deque[Path] = deque()

    @cached_property
    def cgroups(self) -> Cgroups:
        """The cgroups of this worker. They are looked up at the first run that needs one."""
        return Cgroups(_group_name(self.config), disk=self.layout.root)

    @cached_property
    def bubblewrap(self) -> str | None:
        """The path of bubblewrap, or None if it is not installed."""
        return sandbox.bubblewrap()

    @property
    def hidden(self) -> tuple[Path, ...]:
        """The folders that no program may see: the state of the appliance."""
        return (self.layout.root, self.layout.run)

    def output_of(self, job_id: str) -> Path:
        """Return the folder for the output of a job that begins. The output of an earlier attempt is removed."""
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
    """End the programs of an earlier worker of this name, and remove their files. Called when a worker starts."""
    Cgroups(_group_name(config)).clear()
    for folder in (config.layout.work(config.worker.name), config.layout.output / config.worker.name):
        if folder.exists():
            trees.remove(folder)


def _group_name(config: Config) -> str:
    """Return the name of the worker for its cgroups, unique on a machine that runs several boards."""
    board = hashlib.blake2b(os.fsencode(config.layout.run.absolute()), digest_size=4).hexdigest()
    return f"{config.worker.name}.{board}"
