"""Whether this worker is to end between two jobs, because the governor wants fewer of its entry."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from edge.core.layout import Layout
from edge.power.workers.decided import decided


class Retirement:
    """Reads `run/scaling/workers.json` after a change. Belongs to the main thread, except `note`.

    A worker that is wanted again before it has ended stays. No body is interrupted: nothing but the intake asks.
    """

    def __init__(self, layout: Layout, *, entry: str, worker: str, noted: Callable[[], None]) -> None:
        """`entry` is the scaled entry that `worker` is a process of; `noted` is called after each change of the file.

        `noted` must wake the loop: the change may be read by a look that comes after the loop has asked for `due`.
        """
        self._path, self._entry, self._worker, self._noted = layout.scaling, entry, worker, noted
        self._stale = True
        self._due = False

    @property
    def path(self) -> Path:
        """The file to watch."""
        return self._path

    @property
    def due(self) -> bool:
        """True while the governor does not want this worker. Costs nothing while the file is the same."""
        if self._stale:
            self._stale = False  # first: the file may change while it is read
            self._due = self._told()
        return self._due

    def note(self) -> None:
        """The file has changed. As safe in signal handlers as `noted`."""
        self._stale = True
        self._noted()

    def _told(self) -> bool:
        status = decided(self._path)  # None: nobody has decided yet, so a worker that was started by hand runs
        return status is not None and status.retires(self._entry, self._worker)
