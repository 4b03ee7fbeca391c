"""Starts the scaled workers that the governor requests, and keeps them running until they retire."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable

from edge.config import Config
from edge.config.workers import entry_of
from edge.core.errors import StackError
from edge.core.watch import Watch
from edge.up.lines import StackLog
from edge.up.part import Part


class ScaledWorkers:
    """Keeps the worker processes of the scaled entries running. Belongs to the event loop.

    The governor requests a worker by a file `run/scaling/start/NAME`. A worker that is no longer needed ends by itself.
    """

    def __init__(self, config: Config, make: Callable[[str], Part], lines: StackLog) -> None:
        """Start nothing yet.

        Args:
            config: the configuration of the board.
            make: returns the part for the worker of this name, not started yet.
            lines: the common log.
        """
        self._config, self._make, self._lines = config, make, lines
        self._folder = config.layout.starts
        self._running: dict[str, asyncio.Task[None]] = {}
        self._parts: dict[str, Part] = {}

    @property
    def parts(self) -> tuple[Part, ...]:
        """The parts of the workers that were started and have not retired."""
        return tuple(self._parts.values())

    async def run(self) -> None:
        """Start requested workers until cancelled. Raises OSError if the folder cannot be watched."""
        self._folder.mkdir(parents=True, exist_ok=True)
        watch, changed = Watch(self._folder), asyncio.Event()
        asyncio.get_running_loop().add_reader(watch, changed.set)
        try:
            while True:
                changed.clear()
                watch.read()
                self._start_requested()
                await changed.wait()
        finally:
            asyncio.get_running_loop().remove_reader(watch)
            watch.close()
            for task in self._running.values():
                task.cancel()
            await asyncio.gather(*self._running.values(), return_exceptions=True)

    def _start_requested(self) -> None:
        """Start the requested workers. A request for a worker that still runs stays until that worker has retired."""
        for path in sorted(self._folder.iterdir()):
            if path.name in self._running or re.fullmatch(r"\..*\.tmp", path.name):
                continue
            try:
                path.unlink()
            except FileNotFoundError:  # a supervisor in another container was faster
                continue
            if entry_of(path.name, self._config.scaled) is not None:
                self._running[path.name] = asyncio.create_task(self._keep(path.name))

    async def _keep(self, name: str) -> None:
        part = self._parts[name] = self._make(name)
        try:
            await part.run()
            self._lines.say(f"{part.name} has retired")
        except (StackError, OSError) as err:  # the other workers run on, and the governor repeats its request
            self._lines.say(f"{part.name} cannot be kept running: {err}")
        del self._running[name], self._parts[name]
        self._start_requested()
