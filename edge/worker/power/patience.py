"""Decides when a body that may not continue is held: at once, or at its next checkpoint if it makes checkpoints."""

from __future__ import annotations

import time

#: A body that makes checkpoints is held at its next checkpoint if that comes within this time.
PATIENCE_S = 2.0


class Patience:
    """Measures the time for which a body may not continue and is not held yet. Belongs to the body's thread."""

    def __init__(self) -> None:
        self._since: float | None = None

    def ends(self, *, wanted: bool, patient: bool) -> bool:
        """Return True if the body must be held at this call.

        Args:
            wanted: the body may not continue.
            patient: the body makes checkpoints, so it is better held at the next one.
        """
        if not wanted:
            self._since = None
            return False
        now = time.monotonic()
        if self._since is None:
            self._since = now
        return not patient or now - self._since >= PATIENCE_S

    def reset(self) -> None:
        """Start anew, because the body was held or another body begins."""
        self._since = None
