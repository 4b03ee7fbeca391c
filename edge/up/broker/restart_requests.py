"""The folder in which gateway and workers say that the broker takes them in and its queues are dead."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

from edge.core.watch import Watch


class RestartRequests:
    """Watched by inotify: nothing wakes while nobody complains."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._watch = self._look()

    def standing(self) -> str:
        """One complaint with its author; empty when there is none."""
        for path in self._all():
            with suppress(OSError):  # withdrawn while we looked
                if not path.name.startswith("."):
                    return f"{path.name} says: {path.read_text().strip()}"
        return ""

    async def wait(self) -> str:
        """The first complaint, at once when one stands already."""
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
        """Forget them all: what they ask for is being done."""
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
