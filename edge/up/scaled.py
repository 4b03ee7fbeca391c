"""Starts the workers that the governor asks for, and keeps them running until they retire."""

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
    """The processes of the scaled entries. Belongs to the event loop.

    The governor writes a file `run/scaling/start/NAME` for each. A worker that is not wanted any more ends by itself.
    """

    def __init__(self, config: Config, make: Callable[[str], Part], lines: StackLog) -> None:
        """`make` returns the part for the worker of a name, not started yet."""
        self._config, self._make, self._lines = config, make, lines
        self._folder = config.layout.starts
        self._running: dict[str, asyncio.Task[None]] = {}
        self._parts: dict[str, Part] = {}

    @property
    def parts(self) -> tuple[Part, ...]:
        """Those that were started and have not retired."""
        return tuple(self._parts.values())

    async def run(self) -> None:
        """Start those that are asked for, until cancelled. Raises OSError where the folder cannot be watched."""
        self._folder.mkdir(parents=True, exist_ok=True)
        watch, asked = Watch(self._folder), asyncio.Event()
        asyncio.get_running_loop().add_reader(watch, asked.set)
        try:
            while True:
                asked.clear()
                watch.read()
                self._take()
                await asked.wait()
        finally:
            asyncio.get_running_loop().remove_reader(watch)
            watch.close()
            for task in self._running.values():
                task.cancel()
            await asyncio.gather(*self._running.values(), return_exceptions=True)

    def _take(self) -> None:
        """Start those that are asked for. A request for one that still runs stays until that one has retired."""
        for path in sorted(self._folder.iterdir()):
            if path.name in self._running or re.fullmatch(r"\..*\.tmp", path.name):
                continue
            try:
                path.unlink()
            except FileNotFoundError:  # another keeper, in a container beside this one, was faster
                continue
            if entry_of(path.name, self._config.scaled) is not None:
                self._running[path.name] = asyncio.create_task(self._keep(path.name))

    async def _keep(self, name: str) -> None:
        part = self._parts[name] = self._make(name)
        try:
            await part.run()
            self._lines.say(f"{part.name} has retired")
        except (StackError, OSError) as err:  # the others go on; the governor asks again
            self._lines.say(f"{part.name} cannot be kept: {err}")
        del self._running[name], self._parts[name]
        self._take()
