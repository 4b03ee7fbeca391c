"""Keeps attempts that a disk error or a node's head stopped. They are tried again with growing pauses."""

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
#: The worker ends after this many rounds in a row without a free file descriptor. It does not end at the first one,
#: because bodies in other threads close descriptors when they end.
_ROUNDS_WITHOUT_FILES = 3


def _leave() -> None:
    os._exit(os.EX_TEMPFAIL)


class Blocked:
    """Holds the attempts that wait for the disk or for a node's head. While it holds any, no body begins.

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
        """Make an empty list of blocked attempts.

        Args:
            root: the state root, named in the reason of a disk error.
            status: the status that shows the reason.
            later: schedules a call of the event loop: `later(delay_s, call)`.
            on_due: called when it is time to try the attempts again.
            leave: ends the process at once.
        """
        self._leave = leave
        self._root = root
        self._status = status
        self._later = later
        self._on_due = on_due
        self._attempts: list[Attempt] = []
        self._rounds = 0  # failed rounds in a row
        self._rounds_without_files = 0  # the last of them, in a row, that found no free file descriptor
        self._scheduled = False

    def __len__(self) -> int:
        return len(self._attempts)

    def __iter__(self) -> Iterator[Attempt]:
        return iter(self._attempts)

    def add(self, attempt: Attempt, err: OSError) -> None:
        """Add an attempt that failed with `err`. It stays in its stage until a later try succeeds."""
        self._attempts.append(attempt)
        # An error at a node's head has a complete text. Any other error comes from the disk.
        away = isinstance(err, EdgeError)
        reason = str(err) if away else f"cannot write under {self._root}: {err.strerror or err}"
        if not self._scheduled:  # the first of this round
            self._scheduled = True
            self._rounds += 1
            self._rounds_without_files = self._rounds_without_files + 1 if err.errno == errno.EMFILE else 0
            self._later(_PAUSE.pause_s(self._rounds), self._due)
        logger.error("%s is blocked: %s; trying again in %.0f s", attempt, reason, _PAUSE.pause_s(self._rounds))
        self._status.update(reason=reason)
        if self._rounds_without_files >= _ROUNDS_WITHOUT_FILES:
            logger.critical(
                "a job has used up the files (file descriptors) that its worker may open; the worker ends, and its "
                "supervisor starts it again"
            )
            self._leave()

    def take(self) -> list[Attempt]:
        """Remove and return all attempts, for another try. The caller adds an attempt that fails again."""
        attempts, self._attempts = self._attempts, []
        return attempts

    def reset_pause(self) -> None:
        """Begin with a short pause the next time, because a try has succeeded."""
        self._rounds = self._rounds_without_files = 0

    def _due(self) -> None:
        self._scheduled = False
        self._on_due()
