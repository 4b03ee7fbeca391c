"""Watches the folder in which gateway and workers request a restart of the broker, because its queues do not work."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

from edge.core.watch import Watch


class RestartRequests:
    """Reads the requests, and waits for them by inotify. Belongs to the event loop."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._watch = self._open_watch()

    def standing(self) -> str:
        """Return one request with the name of its process, or "" if there is none."""
        for path in self._all():
            with suppress(OSError):  # the request was withdrawn meanwhile
                if not path.name.startswith("."):
                    return f"{path.name} says: {path.read_text().strip()}"
        return ""

    async def wait(self) -> str:
        """Wait for a request, and return it. If there is one already, return it at once."""
        loop = asyncio.get_running_loop()
        while not (found := self.standing()):
            changed = loop.create_future()
            loop.add_reader(self._watch, _resolve, changed)
            try:
                await changed
            finally:
                loop.remove_reader(self._watch)
            if self._watch.read().gone:
                self._watch.close()
                self._watch = self._open_watch()
        return found

    def clear(self) -> None:
        """Remove all requests, because the broker is being restarted."""
        for path in self._all():
            path.unlink(missing_ok=True)

    def close(self) -> None:
        """End the watch."""
        self._watch.close()

    def _open_watch(self) -> Watch:
        self._folder.mkdir(parents=True, exist_ok=True)
        return Watch(self._folder)

    def _all(self) -> list[Path]:
        try:
            return sorted(self._folder.iterdir())
        except FileNotFoundError:
            return []


def _resolve(changed: asyncio.Future[None]) -> None:
    if not changed.done():
        changed.set_result(None)
