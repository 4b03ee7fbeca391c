"""The folder in which gateway and workers request a restart of the broker because its queues are dead."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

from edge.core.watch import Watch


class RestartRequests:
    """The requests, watched by inotify. Belongs to the event loop."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._watch = self._look()

    def standing(self) -> str:
        """Return one request with the name of its process; empty when there is none."""
        for path in self._all():
            with suppress(OSError):  # withdrawn while we looked
                if not path.name.startswith("."):
                    return f"{path.name} says: {path.read_text().strip()}"
        return ""

    async def wait(self) -> str:
        """Wait for a request and return it; at once if there is one already."""
        loop = asyncio.get_running_loop()
        while not (found := self.standing()):
            news = loop.create_future()
            loop.add_reader(self._watch, _once, news)
            try:
                await news
            finally:
                loop.remove_reader(self._watch)
            if self._watch.read().gone:
                self._watch.close()
                self._watch = self._look()
        return found

    def clear(self) -> None:
        """Remove all requests, because they are being carried out."""
        for path in self._all():
            path.unlink(missing_ok=True)

    def close(self) -> None:
        """Watch no longer."""
        self._watch.close()

    def _look(self) -> Watch:
        self._folder.mkdir(parents=True, exist_ok=True)
        return Watch(self._folder)

    def _all(self) -> list[Path]:
        try:
            return sorted(self._folder.iterdir())
        except FileNotFoundError:
            return []


def _once(news: asyncio.Future[None]) -> None:
    if not news.done():
        news.set_result(None)
