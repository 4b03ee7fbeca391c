"""Detects suspected brown-outs: jobs whose start is followed by a power cut again and again.

Such a job may itself pull the voltage down. If it ran again and again, the board would never run another job.
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
    """Return a failure if too many power cuts in a row came soon after the start of the body, else None."""
    limit = config.max_early_cuts
    if earlier is None or not limit or earlier.early_cuts < limit:
        return None
    what = f"the power went {earlier.early_cuts} times in a row within {config.early_cut_s:g} s of its start"
    why = "with nothing saved in between: it may be what pulls the voltage down (worker.max_early_cuts"
    return Failure(FailureCode.BROWN_OUT, f"{what}, {why} = {limit})")


class UptimeMarker:
    """Notes durably that a body ran for `after_s`, so that a later power cut does not count against it.

    It is used only for attempts whose start was made durable, so a job that was never cut costs no write. A timer
    thread writes, because the body occupies the main thread and may never call the worker. All methods may be called
    from any thread.
    """

    def __init__(self, attempts: AttemptsStore, after_s: float) -> None:
        self._attempts, self._after_s = attempts, after_s
        self._lock = threading.Lock()  # held during the write: the record has one writer at a time
        self._timers: dict[str, threading.Timer] = {}  # by the job's id

    def watch(self, earlier: Attempts) -> None:
        """Start the timer: the body of this attempt begins now."""
        timer = threading.Timer(self._after_s, lambda: self._note(timer, earlier))
        timer.daemon = True
        with self._lock:
            self._timers[earlier.id] = timer
        timer.start()

    def stop(self, *job_ids: str) -> None:
        """Stop the timers of these jobs, or all timers if no job is named. Afterwards nothing is written for them."""
        if not self._timers:
            return
        with self._lock:
            ids = job_ids or tuple(self._timers)
            timers = [timer for each in ids if (timer := self._timers.pop(each, None)) is not None]
        for timer in timers:
            timer.cancel()

    def _note(self, timer: threading.Timer, earlier: Attempts) -> None:
        with self._lock:
            if self._timers.get(earlier.id) is not timer or earlier.begun is None:
                return
            try:
                lasted = msgspec.structs.replace(earlier.begun, lasted=True)
                self._attempts.write(msgspec.structs.replace(earlier, begun=lasted))
            except OSError as err:  # then a power cut in this run may wrongly count as an early one
                logger.warning("cannot note that %s runs well: %s", earlier.id, err)
