"""Checks if this worker must end between two jobs, because the governor wants fewer workers of its entry."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from edge.core.layout import Layout
from edge.power.workers.decided import decided


class Retirement:
    """Reads `run/scaling/workers.json` after a change. Belongs to the main thread, except `note`.

    A worker that is wanted again before it has ended continues. No body is interrupted, because `due` is read only
    between two bodies.
    """

    def __init__(self, layout: Layout, *, entry: str, worker: str, on_change: Callable[[], None]) -> None:
        """Make the check for `worker`, which is a process of the scaled entry `entry`.

        `on_change` is called after each change of the file. It must wake the event loop, because the change may be
        noticed after the loop has read `due`.
        """
        self._path, self._entry, self._worker, self._on_change = layout.scaling, entry, worker, on_change
        self._stale = True
        self._due = False

    @property
    def path(self) -> Path:
        """The file to watch."""
        return self._path

    @property
    def due(self) -> bool:
        """True while the governor does not want this worker. The file is read only after a change."""
        if self._stale:
            self._stale = False  # before the read: the file may change during it
            self._due = self._read()
        return self._due

    def note(self) -> None:
        """Note that the file has changed. Safe in signal handlers if `on_change` is."""
        self._stale = True
        self._on_change()

    def _read(self) -> bool:
        status = decided(self._path)  # before the governor's first decision, a worker that was started by hand runs
        return status is not None and status.retires(self._entry, self._worker)
