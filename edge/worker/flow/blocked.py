"""Attempts that the disk, or a node's head, refuses: they wait, are tried again ever more seldom, and say why."""

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
    """The attempts that wait for the disk, or for a node's head. Nothing else begins while there are any.

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
        self._rounds = 0  # in a row, in which the disk took nothing
        self._scheduled = False

    def __len__(self) -> int:
        return len(self._attempts)

    def __iter__(self) -> Iterator[Attempt]:
        return iter(self._attempts)

    def add(self, attempt: Attempt, err: OSError) -> None:
        """The attempt stays in its stage until the disk takes it."""
        self._attempts.append(attempt)
        away = isinstance(err, EdgeError)  # a node's head, which says what is wrong; else it is the disk
        reason = str(err) if away else f"cannot write under {self._root}: {err.strerror or err}"
        if not self._scheduled:  # the first of this round
            self._scheduled = True
            self._rounds += 1
            self._later(_PAUSE.pause_s(self._rounds), self._due)
        logger.error("%s is blocked: %s; trying again in %.0f s", attempt, reason, _PAUSE.pause_s(self._rounds))
        self._status.say(reason=reason)

    def take(self) -> list[Attempt]:
        """All of them, to be tried again; what is refused once more is added anew."""
        attempts, self._attempts = self._attempts, []
        return attempts

    def reset_pause(self) -> None:
        """The disk took one: the next time begins with a short wait."""
        self._rounds = 0

    def _due(self) -> None:
        self._scheduled = False
        self._on_due()
