"""What is drawn in a frame: lines, bars, steps and ribbons."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from edge.gateway.page.plots.frame import Frame
from edge.gateway.page.plots.svg import Svg, element, number

_GAP = 0.15  # of a step, between two bars


def line(frame: Frame, values: Sequence[float | None], class_: str) -> Svg:
    """A line through the middles of the steps; it breaks where there is no value."""
    parts = []
    for begin, run in _runs(values):
        points = [f"{number(frame.x(begin + at + 0.5))} {number(frame.y(value))}" for at, value in enumerate(run)]
        if len(points) == 1:  # a dot: a line needs a length
            points.append(f"{number(frame.x(begin + 0.5) + 0.1)} {number(frame.y(run[0]))}")
        parts.append("M" + "L".join(points))
    return element("path", class_=class_, d="".join(parts)) if parts else Svg("")


def area(frame: Frame, values: Sequence[float | None], class_: str) -> Svg:
    """Steps with what lies under them, for a number that holds until the next one."""
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
    """A bar for each value that is not 0.

    Args:
        frame: where they stand.
        values: one for each step.
        class_: of all of them.
        below: what they stand on; nothing: the ground.
        left: where in its step a bar begins, as a share of the usable width.
        share: how much of that width it takes.
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
    """One run of steps as a block from the ground up to `height`, with words for who points at it."""
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
    """Runs of the same item: begin, end (not in it), item. None makes a gap."""
    begin = 0
    for at in range(1, len(items) + 1):
        if at == len(items) or items[at] != items[begin]:
            item = items[begin]
            if item is not None:
                yield begin, at, item
            begin = at


def _runs(values: Sequence[float | None]) -> Iterator[tuple[int, list[float]]]:
    """Runs of known values: where each begins, and the values."""
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
