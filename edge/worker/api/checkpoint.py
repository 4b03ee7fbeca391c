"""Progress of an unfinished job on the card: `checkpoints/ID.json`, read again by the attempt after a power cut."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import msgspec

from edge.core import durable
from edge.core.duplicates import duplicate
from edge.core.values import JsonValue

logger = logging.getLogger(__name__)

#: A card wears out by writing: two saves are at least so far apart ...
EVERY_S = 5.0
#: ... and so many times what a save takes, so that saving costs at most 2 % of the job's time.
COST_FACTOR = 50.0


def digest(path: Path) -> str:
    """Tells one saved state from another; empty when nothing is saved or it cannot be read."""
    try:
        return sha256(path.read_bytes()).hexdigest()[:16]
    except OSError:
        return ""


def every_s(early_cuts: int) -> float:
    """How far apart the saves are of a job that the power left so often soon after its start, with nothing saved.

    5 s, 1.25 s, 0.3 s ...: on a board that stays up for seconds at a time, those seconds are what can be lost.
    """
    return EVERY_S / 4.0 ** min(early_cuts, 8)


class Checkpoint:
    """The saved state of one job. `save` may be called as often as one likes: it writes only when that pays.

    With `every_s` 0 every save is written.
    """

    def __init__(self, path: Path, *, every_s: float = EVERY_S, before: Callable[[], bool] = lambda: True) -> None:
        """`before` is called ahead of each write, and says whether what the state builds on is durable."""
        self._before = before
        self._path = path
        self._every_s = every_s
        self._due = time.monotonic() + every_s
        self._failed = False
        #: A file may be there: it was saved to, or read.
        self.there = False

    def read(self) -> JsonValue:
        """The state that was saved last, as JSON gives it back; None when there is none that can be read."""
        try:
            data = self._path.read_bytes()
            self.there = True
            return msgspec.json.decode(data)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.DecodeError, UnicodeDecodeError) as err:
            self.there = True
            logger.warning("checkpoint %s is not usable, the job starts anew: %s", self._path, err)
            return None

    def save(self, state: object, *, now: bool = False) -> bool:
        """Make `state` durable if it is time to, or if `now`; True when it was written.

        A state that JSON cannot carry raises TypeError. A disk that cannot take it costs the job nothing but the
        progress: one line in the log, no exception.
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
            durable.replace(self._path, data, shared=True)  # two workers may meet over one job
            saved = True
        except OSError as err:
            if not self._failed:
                logger.warning("cannot save checkpoint %s: %s", self._path, err)
            saved = False
        self._failed = not saved
        ended = time.monotonic()
        self._due = ended + max(self._every_s, COST_FACTOR * (ended - began)) if self._every_s else 0.0
        return saved
