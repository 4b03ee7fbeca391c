"""Lists all figures, in the order in which they are measured.

A new figure is a module of `figures/` with a `FIGURE`, a line here, and a line in `aims` if it has an aim. `idle` comes
first, before anything else has run. Figures for which a quick run may have no time come last.
"""

from __future__ import annotations

from tests.bench.figure import Figure
from tests.bench.figures import events, flash, governor, idle, latency, pages, pause, programs, throughput, views

FIGURES: tuple[Figure, ...] = (
    idle.FIGURE,
    throughput.FIGURE,
    flash.FIGURE,
    pause.FIGURE,
    pages.FIGURE,
    latency.FIGURE,
    governor.FIGURE,
    events.FIGURE,
    programs.FIGURE,
    views.FIGURE,
)
