"""The kinds of job this board knows, read by another process so that no task's code runs in this one."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from edge.catalog.catalogue import Catalogue
from edge.core.backoff import Backoff
from edge.core.errors import EdgeError
from edge.gateway.http.problems import Busy

log = logging.getLogger(__name__)

#: A module that never works costs little.
_RETRY = Backoff(first_s=30.0, most_s=3600.0)


class CatalogueLoader:
    """The catalogue as last read; `load` blocks and raises EdgeError."""

    def __init__(self, load: Callable[[], Catalogue], *, learnt: Callable[[Catalogue], None] = lambda _: None) -> None:
        """`learnt` is told of each catalogue, in a thread, before it is in force."""
        self._load, self._learnt = load, learnt
        self._catalogue: Catalogue | None = None
        self._tried = False
        self.error = "not read yet"

    async def reload(self) -> None:
        """Read it again; when that fails the old one stands, and `error` says why."""
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
        self._learnt(catalogue)
        return catalogue

    async def persist(self) -> None:
        """Read it again until there is one: what was too slow while the board booted is not, later."""
        pauses = _RETRY.pauses()
        while not self.readable:
            await asyncio.sleep(next(pauses))
            if not self.readable:  # nor by a reload meanwhile
                await self.reload()

    @property
    def readable(self) -> bool:
        """False while no catalogue could ever be read: nothing can be accepted then."""
        return self._catalogue is not None

    @property
    def current(self) -> Catalogue:
        """The catalogue. Raises Busy when there is none."""
        if self._catalogue is None:
            if not self._tried:  # a second or two after the start
                raise Busy("the tasks are being read", retry_after_s=1)
            raise Busy(f"the tasks cannot be read: {self.error}", retry_after_s=30)
        return self._catalogue
