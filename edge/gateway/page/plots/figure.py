"""A plot as a page shows it: its picture, its words, and the same as a table."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from edge.gateway.page.plots.frame import HEIGHT, WIDTH
from edge.gateway.page.plots.svg import Svg, element, joined, number


class Legend(msgspec.Struct, frozen=True):
    """A mark of a plot and what it means."""

    mark: str  # its class
    text: str


class Table(msgspec.Struct, frozen=True):
    """The numbers of a plot."""

    caption: str
    head: tuple[str, ...]  # the first one heads the column of times
    rows: tuple[tuple[str, ...], ...]


class Figure(msgspec.Struct, frozen=True):
    """One plot. `summary` says in a sentence what can be seen on it."""

    name: str  # stable, part of ids
    title: str
    summary: str
    svg: Svg  # empty where nothing is known
    table: Table
    legend: tuple[Legend, ...] = ()


def picture(name: str, title: str, summary: str, parts: Sequence[str]) -> Svg:
    """The whole SVG of a plot, with its words for screen readers."""
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
