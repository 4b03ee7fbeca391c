"""Notices when a body begins or ends, so that the governor measures the draw of the board for each body.

Without it, most bodies of a few seconds would run between two samples. Their receipts would be estimates, and it would
be chance whether their time counts as that of a body or of the idle board.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from edge.core.layout import Layout
from edge.model import Mix, Reading
from edge.power.energy import bodies, draw

#: Shortest time between two looks. It limits the work for bodies that are shorter still, and for their progress.
_LOOK_EVERY_S = 1.0


class Span(msgspec.Struct, frozen=True):
    """The draw of the board in the time since the last sample."""

    watts: float | None = None  # None if it is not measured
    mix: Mix | None = None
    busy: bool = False  # True if a body ran to which the watts of the whole board are booked


class Activity:
    """Remembers which bodies run, and what the board drew meanwhile. Belongs to the governor's thread."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._running: frozenset[str] | None = None  # at the last sample; None before the first one
        self._earlier: frozenset[str] | None = None  # at the sample before
        self._last = Span()
        self._looked_s = 0.0
        #: Monotonic time at which `sources` must be called again, or None if that waits for a change.
        self.due: float | None = None
        #: True if a body has begun since `written` was called.
        self.begun = False

    def sources(self, now: float, readings: Iterable[Reading]) -> frozenset[str]:
        """Return the sources that must be read now, because a body began or ended; empty if there are none.

        Call it after a worker has written its status.

        Args:
            now: monotonic seconds.
            readings: the last readings of all sources.
        """
        meters = frozenset(reading.source.partition(":")[0] for reading in draw.meters(tuple(readings)))
        self.due = None
        if not meters:
            return meters
        if now - self._looked_s < _LOOK_EVERY_S:
            self.due = self._looked_s + _LOOK_EVERY_S
            return frozenset()
        self._looked_s = now
        return frozenset() if bodies.running(self._layout) == self._running else meters

    def look(self) -> None:
        """Note which bodies run now. Call it for each sample, before the report."""
        running = bodies.running(self._layout)
        self._earlier, self._running = self._running, running
        self.begun = self.begun or bool(running - (self._earlier or frozenset()))

    def span(self, readings: tuple[Reading, ...]) -> Span:
        """Return the draw in the time before the sample with these readings. Call it after `look`.

        The present draw counts for it. If the bodies have changed since the last sample, the draw of that one counts.
        """
        before, changed = self._last, self._earlier is not None and self._earlier != self._running
        self._last = Span(draw.board_watts(readings), draw.mix(readings), bool(self._running))
        return before if changed else self._last

    def written(self) -> None:
        """Note that the readings of the last sample were written for the workers."""
        self.begun = False
