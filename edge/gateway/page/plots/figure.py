"""A plot as a page shows it: the SVG, a summary in words, and the numbers as a table."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from edge.gateway.page.plots.frame import HEIGHT, WIDTH
from edge.gateway.page.plots.svg import Svg, element, joined, number


class Legend(msgspec.Struct, frozen=True):
    """An entry of the legend: a mark of the plot and its meaning."""

    mark: str  # the CSS class of the mark
    text: str


class Table(msgspec.Struct, frozen=True):
    """The numbers of a plot as a table."""

    caption: str
    head: tuple[str, ...]  # headings of the columns; the first column holds times
    rows: tuple[tuple[str, ...], ...]


class Figure(msgspec.Struct, frozen=True):
    """One plot. `summary` describes its content in a sentence, for people who cannot see it."""

    name: str  # stable: ids of HTML elements contain it
    title: str
    summary: str
    svg: Svg  # empty if no value is known
    table: Table
    legend: tuple[Legend, ...] = ()


def picture(name: str, title: str, summary: str, parts: Sequence[str]) -> Svg:
    """Return the whole SVG of a plot, with title and summary for screen readers."""
    return element(
        "svg",
        element("title", id=f"plot-{name}-title", text=title),
        element("desc", id=f"plot-{name}-desc", text=summary),
        joined(parts),
        class_="plot",
        viewBox=f"0 0 {number(WIDTH)} {number(HEIGHT)}",
        role="img",
        aria_labelledby=f"plot-{name}-title plot-{name}-desc",
    )
