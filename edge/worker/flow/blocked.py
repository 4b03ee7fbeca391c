"""Attempts that failed on a disk error or at a node's head. They are tried again with growing pauses."""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from edge.core.backoff import Backoff
from edge.core.errors import EdgeError
from edge.worker.attempt.attempt import Attempt
from edge.worker.process.status import StatusFile

logger = logging.getLogger(__name__)

_PAUSE = Backoff(first_s=1.0, most_s=30.0)
#: So many rounds in a row may find no free file descriptor: bodies that run elsewhere give some back when they end.
_ROUNDS_WITHOUT_FILES = 3


def _leave() -> None:
    os._exit(os.EX_TEMPFAIL)


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
        leave: Callable[[], None] = _leave,
    ) -> None:
        """`on_due` is called when they are to be tried again, `leave` ends the process at once."""
        self._leave = leave
        self._root = root
        self._status = status
        self._later = later
        self._on_due = on_due
        self._attempts: list[Attempt] = []
        self._rounds = 0  # failed rounds in a row
        self._rounds_without_files = 0  # of these the last ones, in which a file could not even be opened
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
            self._rounds_without_files = self._rounds_without_files + 1 if err.errno == errno.EMFILE else 0
            self._later(_PAUSE.pause_s(self._rounds), self._due)
        logger.error("%s is blocked: %s; trying again in %.0f s", attempt, reason, _PAUSE.pause_s(self._rounds))
        self._status.say(reason=reason)
        if self._rounds_without_files >= _ROUNDS_WITHOUT_FILES:
            logger.critical(
                "a job has used up the files (file descriptors) that its worker may open; the worker ends, to be "
                "started anew"
            )
            self._leave()

    def take(self) -> list[Attempt]:
        """Remove and return all, to be tried again. Those that fail again have to be added again."""
        attempts, self._attempts = self._attempts, []
        return attempts

    def reset_pause(self) -> None:
        """Begin with a short pause the next time, because a try has succeeded."""
        self._rounds = self._rounds_without_files = 0

    def _due(self) -> None:
        self._scheduled = False
        self._on_due()
