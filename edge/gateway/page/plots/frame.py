"""The coordinates of a plot, with its grid and labels. Time steps go to the right, and values go up.

Labels are drawn inside the plot. So they can be large when the plot is small, for example on a phone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from edge.gateway.page.plots.svg import Svg, element, joined
from edge.gateway.page.plots.words import clock, day

WIDTH, HEIGHT = 640.0, 210.0
_TOP, _BOTTOM = 30.0, 176.0
_LABELS_Y = 201.0
#: The distance between grid lines is one of these numbers times a power of ten. 2.5 is missing, because counts need
#: whole numbers.
_NICE = (1.0, 2.0, 5.0, 10.0)
_DAY_S = 86_400.0


class Frame(msgspec.Struct, frozen=True):
    """The coordinates of a plot with `count` time steps, and values from `low` to `high`."""

    first: float  # start of the first step, in seconds since the epoch
    step_s: float
    count: int
    low: float
    high: float
    unit: str = ""

    @property
    def step_width(self) -> float:
        """The width of a step, in units of the SVG."""
        return WIDTH / self.count

    def x(self, step: float) -> float:
        """Return the x coordinate of a step, counted from 0. A fraction means a point inside the step."""
        return step * self.step_width

    def y(self, value: float) -> float:
        """Return the y coordinate of a value. A value outside the frame is drawn at its border."""
        share = (value - self.low) / (self.high - self.low)
        return _BOTTOM - min(1.0, max(0.0, share)) * (_BOTTOM - _TOP)

    @property
    def bottom(self) -> float:
        """The y coordinate of the lowest value."""
        return _BOTTOM

    def grid(self, ticks: Sequence[tuple[float, str]]) -> Svg:
        """Return a horizontal line for each tick, and the times below the plot. `labels` draws the values."""
        lines = (
            element("line", class_="plot-grid", x1=0, x2=WIDTH, y1=self.y(value), y2=self.y(value))
            for value, _ in ticks
        )
        return joined([*lines, *self._times()])

    def labels(self, ticks: Sequence[tuple[float, str]], class_: str = "plot-value") -> Svg:
        """Return the labels of the ticks. Draw them last, so that they are on top."""
        return joined(element("text", class_=class_, x=4, y=self.y(value) - 4, text=text) for value, text in ticks)

    def band(self, low: float, high: float, class_: str) -> Svg:
        """Return a band over the whole width, from the value `low` to the value `high`."""
        top, bottom = self.y(high), self.y(low)
        return element("rect", class_=class_, x=0, y=top, width=WIDTH, height=max(0.0, bottom - top))

    def _times(self) -> list[Svg]:
        """Return the text below the plot: four times, and `now` at the right end.

        The times are hours for up to two days, else dates.
        """
        total_s = self.count * self.step_s
        written = clock if total_s <= 2 * _DAY_S else day
        places = (0.0, 0.25, 0.5, 0.75, 1.0)
        anchors = ("start", "middle", "middle", "middle", "end")
        return [
            element(
                *("text",),
                class_=f"plot-time plot-{anchor}",
                x=place * WIDTH,
                y=_LABELS_Y,
                text="now" if place == 1.0 else written(self.first + place * total_s),
            )
            for place, anchor in zip(places, anchors, strict=True)
        ]


def frame_of(
    values: Sequence[float | None], *, first: float, step_s: float, unit: str = "", low: float = 0.0, least: float = 1.0
) -> tuple[Frame, list[tuple[float, str]]]:
    """Return a frame that holds all `values`, and its ticks: a few round values with their labels.

    Args:
        values: one value for each step; None if the value of a step is not known.
        first: start of the first step, in seconds since the epoch.
        step_s: length of a step.
        unit: unit of the values.
        low: the lowest value of the frame, unless a value is lower.
        least: the smallest difference between the highest and the lowest value of the frame.
    """
    known = [value for value in values if value is not None and math.isfinite(value)]
    top = max([*known, low + least])
    bottom = min([*known, low])
    tick = _round_up((top - bottom) / 3)
    bottom = math.floor(bottom / tick) * tick
    top = math.ceil(top / tick) * tick
    count = round((top - bottom) / tick)
    ticks = [(bottom + number * tick, _label(bottom + number * tick, unit)) for number in range(count + 1)]
    return Frame(first, step_s, max(1, len(values)), bottom, top, unit), ticks


def _round_up(value: float) -> float:
    """Return the smallest number >= `value` of the form 1, 2 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(value))
    return next(nice * power for nice in _NICE if nice * power >= value * 0.999_999)


def _label(value: float, unit: str) -> str:
    text = f"{value:g}" if abs(value) < 100_000 else f"{value:,.0f}"
    return f"{text} {unit}".strip()
