"""Saves the progress of an unfinished job to `checkpoints/ID.json`. The next attempt reads it after a power cut."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import msgspec

from edge.core import durable, stored, trees
from edge.core.duplicates import duplicate
from edge.core.values import JsonValue

logger = logging.getLogger(__name__)

#: Shortest time between two saves, because each write wears out the card.
EVERY_S = 5.0
#: The time between two saves is at least this multiple of the duration of a save, so saving costs at most 2 %.
COST_FACTOR = 50.0


def digest(path: Path) -> str:
    """Return a hash of the saved state in `path`, or an empty text if there is no readable file."""
    try:
        return sha256(path.read_bytes()).hexdigest()[:16]
    except OSError:
        return ""


def folder_of(checkpoints: Path, job_id: str) -> Path:
    """Return the folder in which the program of a job saves its progress. It lies next to the job's checkpoint."""
    return checkpoints / f"{job_id}.d"


def forget(checkpoints: Path, job_id: str) -> None:
    """Remove the checkpoint and the checkpoint folder of a job that has ended. Raises OSError."""
    (checkpoints / f"{job_id}.json").unlink(missing_ok=True)
    if (folder := folder_of(checkpoints, job_id)).is_dir():
        trees.remove(folder)


def every_s(early_cuts: int) -> float:
    """Return the shortest time between two saves, after `early_cuts` power cuts in a row soon after the job's start.

    It is 5 s, then 1.25 s, 0.3 s and so on. A board that stays up for only some seconds must save often to make
    progress.
    """
    return EVERY_S / 4.0 ** min(early_cuts, 8)


class Checkpoint:
    """Saves and reads the state of one job. `save` may be called at any rate, because it limits the writes itself.

    With `every_s` 0 every save is written. Belongs to the thread of the body.
    """

    def __init__(self, path: Path, *, every_s: float = EVERY_S, before: Callable[[], bool] = lambda: True) -> None:
        """Make the checkpoint of one job; nothing is read or written yet.

        Args:
            path: the file of the checkpoint.
            every_s: shortest time between two writes, in seconds.
            before: called before each write. If it returns False, data on which the state depends is not durable, and
                the state is not written.
        """
        self._before = before
        self._path = path
        self._every_s = every_s
        self._due = time.monotonic() + every_s
        self._failed = False
        #: True once this object has written or read a file, so one may exist.
        self.there = False

    def read(self) -> JsonValue:
        """Return the state that was saved last, as decoded JSON, or None if there is no readable state."""
        try:
            data = self._path.read_bytes()
            self.there = True
            return stored.decoded(data, object)
        except FileNotFoundError:
            return None
        except (OSError, stored.BadContent) as err:
            self.there = True
            logger.warning("checkpoint %s is not usable, the job starts from its beginning: %s", self._path, err)
            return None

    def save(self, state: object, *, now: bool = False) -> bool:
        """Make `state` durable if enough time has passed, or at once with `now`. Return True if it was written.

        A disk error loses only this progress. It is logged once and not raised.

        Raises:
            TypeError: JSON cannot represent the state.
        """
        began = time.monotonic()
        if not now and began < self._due:
            return False
        data = msgspec.json.encode(state)
        if (name := duplicate(data)) is not None:
            raise TypeError(f"the state has a dict in which two keys become {name[:80]!r} in JSON, as 1 and '1' do")
        if not self._before():
            return False
        self.there = True
        try:
            durable.make_folder(self._path.parent)
            durable.replace(self._path, data, shared=True)  # two workers may run the same job and write this file
            saved = True
        except OSError as err:
            if not self._failed:
                logger.warning("cannot save checkpoint %s: %s", self._path, err)
            saved = False
        self._failed = not saved
        ended = time.monotonic()
        self._due = ended + max(self._every_s, COST_FACTOR * (ended - began)) if self._every_s else 0.0
        return saved
