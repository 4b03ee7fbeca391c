"""Learns what a job of each kind costs, from the receipts in results. The rule that scales workers uses the costs."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from pathlib import Path

import msgspec

from edge.core import durable, stored
from edge.model import Result

log = logging.getLogger(__name__)

#: Weight of a new run in the mean, once there are many runs.
_WEIGHT = 0.2
_SAVE_EVERY_S = 600.0
#: Largest number of kinds that are remembered. The kind that was learned first is forgotten first.
_MOST_KINDS = 1000


class KindCost(msgspec.Struct, frozen=True, omit_defaults=True):
    """Mean cost of a job of one kind. Newer runs have more weight."""

    runs: int = 0
    seconds: float = 0.0
    busy: float = 0.0  # share of one core
    peak_bytes: int | None = None  # peak memory of the worker that ran it


class KindCosts:
    """Holds the costs by kind. Saves them every ten minutes while jobs end. Belongs to the gateway's loop."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._saved_at = time.monotonic()
        self._changed = False
        try:
            self._costs = stored.read(path, dict[str, KindCost])
        except (OSError, stored.BadContent):
            self._costs = {}

    def of(self, kind: str) -> KindCost | None:
        """Return the mean cost of a job of this kind, or None until one has run."""
        return self._costs.get(kind)

    def learn(self, results: Iterable[Result]) -> None:
        """Add the runs that ended with these results. A result without a receipt is skipped, because no body ran."""
        for result in results:
            if (receipt := result.energy) is None:
                continue
            old = self._costs.get(result.task) or KindCost()
            weight = max(_WEIGHT, 1 / (old.runs + 1))
            busy = min(1.0, receipt.cpu_seconds / receipt.seconds) if receipt.seconds > 0 else 1.0
            self._costs[result.task] = KindCost(
                old.runs + 1,
                old.seconds + weight * (receipt.seconds - old.seconds),
                old.busy + weight * (busy - old.busy),
                _peak(old.peak_bytes, receipt.peak_bytes, weight),
            )
            self._changed = True
        while len(self._costs) > _MOST_KINDS:
            del self._costs[next(iter(self._costs))]
        if self._changed and time.monotonic() - self._saved_at > _SAVE_EVERY_S:
            self.save()

    def save(self) -> None:
        """Write the costs if they have changed. An error is only logged, because costs can be learned again."""
        self._saved_at = time.monotonic()
        if not self._changed:
            return
        self._changed = False
        try:
            durable.replace_volatile(self._path, msgspec.json.encode(self._costs))
        except OSError as err:
            log.warning("%s cannot be written: %s", self._path, err.strerror or err)


def _peak(old: int | None, new: int | None, weight: float) -> int | None:
    """Return the peak memory of a kind, in bytes: a lower report counts at once, a higher one slowly.

    A worker reports the highest peak of its life, which another kind may have caused. The lowest peak that was reported
    lately is therefore nearest to the truth.
    """
    if old is None or new is None:
        return old if new is None else new
    return new if new < old else old + round(weight * (new - old))
