"""Draws lines, areas, bars and blocks in a frame."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from edge.gateway.page.plots.frame import Frame
from edge.gateway.page.plots.svg import Svg, element, number

_GAP = 0.15  # space between two bars, as a share of a step


def line(frame: Frame, values: Sequence[float | None], class_: str) -> Svg:
    """Return a line through the middles of the steps. It has a gap for each step whose value is None."""
    parts = []
    for begin, run in _runs(values):
        points = [f"{number(frame.x(begin + at + 0.5))} {number(frame.y(value))}" for at, value in enumerate(run)]
        if len(points) == 1:  # draw a dot: a line of length 0 would be invisible
            points.append(f"{number(frame.x(begin + 0.5) + 0.1)} {number(frame.y(run[0]))}")
        parts.append("M" + "L".join(points))
    return element("path", class_=class_, d="".join(parts)) if parts else Svg("")


def area(frame: Frame, values: Sequence[float | None], class_: str) -> Svg:
    """Return a filled step curve: each value holds until the next step. None makes a gap."""
    parts = []
    for begin, run in _runs(values):
        path = f"M{number(frame.x(begin))} {number(frame.bottom)}"
        for at, value in enumerate(run):
            path += f"V{number(frame.y(value))}H{number(frame.x(begin + at + 1))}"
        parts.append(f"{path}V{number(frame.bottom)}Z")
    return element("path", class_=class_, d="".join(parts)) if parts else Svg("")


def bars(
    frame: Frame,
    values: Sequence[float],
    class_: str,
    *,
    below: Sequence[float] = (),
    left: float = 0.0,
    share: float = 1.0,
) -> Svg:
    """Return a bar for each value above 0.

    Args:
        frame: the coordinates of the plot.
        values: one value for each step.
        class_: CSS class of the bars.
        below: for each step, the value at which its bar begins; empty if all bars begin at 0.
        left: distance of a bar from the left end of its step, as a share of the usable width.
        share: width of a bar, as a share of the usable width.
    """
    usable = frame.step_width * (1 - _GAP)
    path = ""
    for at, value in enumerate(values):
        if value <= 0:
            continue
        base = below[at] if below else 0.0
        x = frame.x(at) + frame.step_width * _GAP / 2 + usable * left
        top, bottom = frame.y(base + value), frame.y(base)
        width = usable * share
        path += f"M{number(x)} {number(bottom)}V{number(top)}h{number(width)}V{number(bottom)}Z"
    return element("path", class_=class_, d=path) if path else Svg("")


def blocks(frame: Frame, begin: int, end: int, height: float, class_: str, title: str) -> Svg:
    """Return a block from the bottom up to `height` over the steps `begin` to `end`, with `title` as tooltip."""
    top = frame.y(height)
    return element(
        "rect",
        element("title", text=title),
        class_=class_,
        x=frame.x(begin),
        y=top,
        width=frame.x(end) - frame.x(begin),
        height=max(0.0, frame.bottom - top),
    )


def runs_of(items: Sequence[str | None]) -> Iterator[tuple[int, int, str]]:
    """Yield each run of equal items: its begin, its end (exclusive) and the item. None makes a gap."""
    begin = 0
    for at in range(1, len(items) + 1):
        if at == len(items) or items[at] != items[begin]:
            item = items[begin]
            if item is not None:
                yield begin, at, item
            begin = at


def _runs(values: Sequence[float | None]) -> Iterator[tuple[int, list[float]]]:
    """Yield each run of known values: its begin, and its values."""
    run: list[float] = []
    begin = 0
    for at, value in enumerate([*values, None]):
        if value is None:
            if run:
                yield begin, run
            run = []
        else:
            if not run:
                begin = at
            run.append(value)
