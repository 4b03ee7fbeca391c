"""Measures the board at rest and with busy cores, and computes two numbers: watts at rest and watts of a busy core."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

import msgspec

from edge.config.power import PowerConfig
from edge.core.errors import StackError
from edge.core.layout import Layout
from edge.model import Reading
from edge.power import status
from edge.power.energy.calibration import Calibration
from edge.power.energy.draw import board_watts, meters
from edge.power.sources import configured
from edge.power.sources.shunt import ShuntConfig

#: Share of each step, at its beginning, whose values are ignored: clocks and regulators settle in this time.
_SETTLING_SHARE = 0.3
_SAMPLE_S = 1.0
_LEAST_SAMPLES = 3


class Loaded(Protocol):
    """Keeps cores busy. The one of a real board is `edge.power.energy.load.Load`."""

    @property
    def cores(self) -> int:
        """Number of cores that can be kept busy."""

    def set_to(self, count: int) -> None:
        """Keep `count` cores busy."""


class Step(msgspec.Struct, frozen=True):
    """The mean draw of the board with `busy` busy cores."""

    busy: int
    watts: float
    samples: int  # values that the mean is computed from


def fitted(steps: Mapping[int, float], *, at: float = 0.0) -> Calibration:
    """Return the straight line that fits the measured watts best (least squares).

    Args:
        steps: measured watts by number of busy cores.
        at: time of the measurement, in seconds since the epoch.

    Raises:
        StackError: fewer than two numbers of busy cores were measured, or the line is impossible for this board.
    """
    count = len(steps)
    mean_x, mean_y = sum(steps) / count, sum(steps.values()) / count
    spread = sum((x - mean_x) ** 2 for x in steps)
    if not spread:
        only = next(iter(steps))
        raise StackError(f"a calibration needs more than one number of busy cores; only {only} was measured")
    slope = sum((x - mean_x) * (y - mean_y) for x, y in steps.items()) / spread
    idle = mean_y - slope * mean_x
    if slope <= 0 or idle < 0:
        raise StackError(
            f"a busy core would draw {slope:.2f} W and the board at rest {idle:.2f} W: "
            "the shunt does not measure this board, or other work ran meanwhile"
        )
    error = max(abs(idle + slope * x - y) / y for x, y in steps.items() if y > 0)
    return Calibration(
        round(idle, 3), round(slope, 3), cores=max(steps), at=round(at, 1), error_percent=round(100 * error, 1)
    )


def measured(
    load: Loaded,
    read: Callable[[], float | None],
    *,
    total_s: float,
    disturbed: Callable[[], str] = lambda: "",
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Step]:
    """Load 0 to all cores for equal times, and yield the result of each step.

    Args:
        load: keeps cores busy.
        read: returns the watts of the board now, or None if there is no new value.
        total_s: time for all steps.
        disturbed: returns a sentence about a job that runs and would spoil the values, or "" if none runs.
        sleep: waits for a number of seconds.

    Raises:
        StackError: a job runs, or a step has too few values.
    """
    step_s = total_s / (load.cores + 1)
    for busy in range(load.cores + 1):
        load.set_to(busy)
        found, passed_s = list[float](), 0.0
        while passed_s < step_s:
            sleep(_SAMPLE_S)
            passed_s += _SAMPLE_S
            if why := disturbed():
                raise StackError(f"{why}: `edge pause` keeps the board free for it, `edge resume` ends that")
            watts = read()
            if watts is not None and passed_s > _SETTLING_SHARE * step_s:
                found.append(watts)
        if len(found) < _LEAST_SAMPLES:
            raise StackError(
                f"only {len(found)} values of the board's draw in {step_s:.0f} s, {_LEAST_SAMPLES} are needed: "
                "the board needs a shunt in its supply, or at its battery while that discharges"
            )
        yield Step(busy, round(sum(found) / len(found), 3), len(found))


class BoardMeter:
    """Reads the watts that the board draws: from its shunts if it has any, else from the report of the governor."""

    def __init__(self, config: PowerConfig, layout: Layout) -> None:
        self._layout = layout
        records = [record for record in configured(config) if isinstance(record, ShuntConfig)]
        self._shunts = [record.open(layout, lambda: None) for record in records]
        self._seen = 0.0

    def read(self) -> float | None:
        """Return the watts now, or None if there is no new value."""
        if self._shunts:
            now = time.monotonic()
            return board_watts([reading for shunt in self._shunts for reading in shunt.read(now)])
        report = status.read(self._layout.power)
        at = _taken_at(report.monotonic, meters(report.readings))
        if at is None or at <= self._seen:
            return None
        self._seen = at
        return board_watts(report.readings)


def _taken_at(monotonic: float, readings: list[Reading]) -> float | None:
    return max((monotonic - reading.age_s for reading in readings), default=None)
