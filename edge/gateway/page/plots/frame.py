"""The space of a plot: steps to the right, values upward; the grid in it, and what is written beside that.

Labels stand inside of the plot, so that they may be large where the plot is small, as on a telephone.
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
_NICE = (1.0, 2.0, 5.0, 10.0)  # so that counts have whole numbers at their lines
_DAY_S = 86_400.0


class Frame(msgspec.Struct, frozen=True):
    """Steps from `first` on, and values from `low` to `high`."""

    first: float
    step_s: float
    count: int
    low: float
    high: float
    unit: str = ""

    @property
    def step_width(self) -> float:
        """Width of a step."""
        return WIDTH / self.count

    def x(self, step: float) -> float:
        """The place of a step, counted from 0; with a fraction, inside of it."""
        return step * self.step_width

    def y(self, value: float) -> float:
        """The place of a value; one outside of the frame is at its border."""
        share = (value - self.low) / (self.high - self.low)
        return _BOTTOM - min(1.0, max(0.0, share)) * (_BOTTOM - _TOP)

    @property
    def bottom(self) -> float:
        """Where the lowest value is."""
        return _BOTTOM

    def grid(self, ticks: Sequence[tuple[float, str]]) -> Svg:
        """A line for each value with its label, and the times under them."""
        lines = (
            element("line", class_="plot-grid", x1=0, x2=WIDTH, y1=self.y(value), y2=self.y(value))
            for value, _ in ticks
        )
        return joined([*lines, *self._times()])

    def labels(self, ticks: Sequence[tuple[float, str]], class_: str = "plot-value") -> Svg:
        """The labels of the values. They are drawn last, over everything else."""
        return joined(element("text", class_=class_, x=4, y=self.y(value) - 4, text=text) for value, text in ticks)

    def band(self, low: float, high: float, class_: str) -> Svg:
        """A part of the height, across the whole plot."""
        top, bottom = self.y(high), self.y(low)
        return element("rect", class_=class_, x=0, y=top, width=WIDTH, height=max(0.0, bottom - top))

    def _times(self) -> list[Svg]:
        """Five times under the plot: of a day hours, else dates."""
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
    """A frame that holds all `values`, and three or four round values with their labels.

    Args:
        values: one for each step; None where there is none.
        first: when the first step begins.
        step_s: length of a step.
        unit: of the values.
        low: the lowest value of the frame, unless there is a lower one.
        least: the height of the frame at least.
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
    """The next larger of 1, 2, 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(value))
    return next(nice * power for nice in _NICE if nice * power >= value * 0.999_999)


def _label(value: float, unit: str) -> str:
    text = f"{value:g}" if abs(value) < 100_000 else f"{value:,.0f}"
    return f"{text} {unit}".strip()
