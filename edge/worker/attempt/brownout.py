"""Suspected brown-outs: jobs whose start is soon followed by a power cut, again and again.

Such a job may be what pulls the voltage down, and would keep the board from ever doing another.
"""

from __future__ import annotations

import logging
import threading

import msgspec

from edge.config import WorkerConfig
from edge.model import Attempts, Failure, FailureCode
from edge.results.attempts import AttemptsStore

logger = logging.getLogger(__name__)


def suspected(earlier: Attempts | None, config: WorkerConfig) -> Failure | None:
    """Why the body is not run again, when too many power cuts in a row came soon after its start."""
    limit = config.max_early_cuts
    if earlier is None or not limit or earlier.early_cuts < limit:
        return None
    what = f"the power went {earlier.early_cuts} times in a row within {config.early_cut_s:g} s of its start"
    why = "with nothing saved in between: it may be what pulls the voltage down (worker.max_early_cuts"
    return Failure(FailureCode.BROWN_OUT, f"{what}, {why} = {limit})")


class UptimeMarker:
    """Notes durably that a body ran for a while: a power cut after that is not its doing.

    Only for attempts whose start was made durable, so a job that no power cut ever met costs no write. A thread of its
    own does it, from `watch` to `rest`: the body has the main thread and may never call us.
    """

    def __init__(self, attempts: AttemptsStore, after_s: float) -> None:
        self._attempts, self._after_s = attempts, after_s
        self._lock = threading.Lock()  # held while the note is written: the record has one writer at a time
        self._timer: threading.Timer | None = None

    def watch(self, earlier: Attempts) -> None:
        """The body of this attempt begins now."""
        timer = threading.Timer(self._after_s, lambda: self._note(timer, earlier))
        timer.daemon = True
        with self._lock:
            self._timer = timer
        timer.start()

    def rest(self) -> None:
        """The body has ended; nothing is written after the return."""
        with self._lock:
            timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    def _note(self, timer: threading.Timer, earlier: Attempts) -> None:
        with self._lock:
            if self._timer is not timer or earlier.begun is None:
                return
            try:
                lasted = msgspec.structs.replace(earlier.begun, lasted=True)
                self._attempts.write(msgspec.structs.replace(earlier, begun=lasted))
            except OSError as err:  # a cut in this run may then count as early; others decide as well
                logger.warning("cannot note that %s runs well: %s", earlier.id, err)
