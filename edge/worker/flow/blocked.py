"""Attempts that failed on a disk error or at a node's head. They are tried again with growing pauses."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

from edge.core.backoff import Backoff
from edge.core.errors import EdgeError
from edge.worker.attempt.attempt import Attempt
from edge.worker.process.status import StatusFile

logger = logging.getLogger(__name__)

_PAUSE = Backoff(first_s=1.0, most_s=30.0)


class Blocked:
    """The attempts that wait for the disk or for a node's head. No body begins while there are any.

    Belongs to the main thread.
    """

    def __init__(
        self,
        root: Path,
        *,
        status: StatusFile,
        later: Callable[[float, Callable[[], None]], object],
        on_due: Callable[[], None],
    ) -> None:
        """`on_due` is called when they are to be tried again."""
        self._root = root
        self._status = status
        self._later = later
        self._on_due = on_due
        self._attempts: list[Attempt] = []
        self._rounds = 0  # failed rounds in a row
        self._scheduled = False

    def __len__(self) -> int:
        return len(self._attempts)

    def __iter__(self) -> Iterator[Attempt]:
        return iter(self._attempts)

    def add(self, attempt: Attempt, err: OSError) -> None:
        """Add an attempt that failed with `err`. It stays in its stage until a later try succeeds."""
        self._attempts.append(attempt)
        away = isinstance(err, EdgeError)  # an error at a node's head names itself; any other is one of the disk
        reason = str(err) if away else f"cannot write under {self._root}: {err.strerror or err}"
        if not self._scheduled:  # the first of this round
            self._scheduled = True
            self._rounds += 1
            self._later(_PAUSE.pause_s(self._rounds), self._due)
        logger.error("%s is blocked: %s; trying again in %.0f s", attempt, reason, _PAUSE.pause_s(self._rounds))
        self._status.say(reason=reason)

    def take(self) -> list[Attempt]:
        """Remove and return all, to be tried again. Those that fail again have to be added again."""
        attempts, self._attempts = self._attempts, []
        return attempts

    def reset_pause(self) -> None:
        """Begin with a short pause the next time, because a try has succeeded."""
        self._rounds = 0

    def _due(self) -> None:
        self._scheduled = False
        self._on_due()
