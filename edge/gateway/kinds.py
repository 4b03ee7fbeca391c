"""Loads the catalogue of the kinds of job. Another process imports the tasks, so none of their code runs here."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from edge.catalog.catalogue import Catalogue
from edge.core.backoff import Backoff
from edge.core.errors import EdgeError
from edge.gateway.http.problems import Busy

log = logging.getLogger(__name__)

#: The pauses between tries to load the catalogue grow, so a module that can never be imported costs little.
_RETRY = Backoff(first_s=30.0, most_s=3600.0)


class CatalogueLoader:
    """Holds the catalogue that was loaded last. Belongs to the gateway's loop."""

    def __init__(
        self, load: Callable[[], Catalogue], *, on_loaded: Callable[[Catalogue], None] = lambda _: None
    ) -> None:
        """Make a loader without a catalogue.

        Args:
            load: reads the catalogue. It blocks, runs in a thread, and raises EdgeError.
            on_loaded: called in a thread with each new catalogue, before the catalogue is used.
        """
        self._load, self._on_loaded = load, on_loaded
        self._catalogue: Catalogue | None = None
        self._tried = False
        self.error = "not read yet"

    async def reload(self) -> None:
        """Load the catalogue again. If that fails, the old one stays in use, and `error` says why."""
        try:
            self._catalogue = await asyncio.to_thread(self._read)
        except EdgeError as err:
            self._tried = True
            self.error = str(err)
            log.error("the tasks cannot be read: %s", err)
            return
        self.error = ""
        for module, reason in self._catalogue.errors.items():
            log.warning("tasks of %s: %s", module, reason)
        log.info("tasks: %s", ", ".join(sorted(self._catalogue.tasks)) or "none")

    def _read(self) -> Catalogue:
        catalogue = self._load()
        self._on_loaded(catalogue)
        return catalogue

    async def persist(self) -> None:
        """Load the catalogue again and again, until there is one.

        An import that takes too long while the board boots may be fast enough later.
        """
        pauses = _RETRY.pauses()
        while not self.readable:
            await asyncio.sleep(next(pauses))
            if not self.readable:  # a reload on SIGHUP may have succeeded during the pause
                await self.reload()

    @property
    def readable(self) -> bool:
        """Return False until a catalogue has been loaded. Before that no job can be accepted."""
        return self._catalogue is not None

    @property
    def current(self) -> Catalogue:
        """Return the catalogue. Raises Busy if none has been loaded yet."""
        if self._catalogue is None:
            if not self._tried:  # the first load takes a second or two after the start
                raise Busy("the tasks are being read", retry_after_s=1)
            raise Busy(f"the tasks cannot be read: {self.error}", retry_after_s=30)
        return self._catalogue
