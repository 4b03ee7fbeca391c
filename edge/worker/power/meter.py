"""Measures the energy that a body uses, or estimates it from CPU time if no power monitor was read while it ran.

`edge.power.energy.draw` decides which readings measure the board. Bodies of several workers that run at once share the
measured power, so that the receipts of a day add up to the measured energy.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from dataclasses import dataclass

from edge.model import Energy, Metering, Mix, PowerStatus
from edge.power.energy.draw import meters

#: Readings that show a board slowed down. `undervoltage` is 0 or 1; `throttled` has the firmware's four current bits.
_SLOWING = ("undervoltage", "throttled")


@dataclass(frozen=True)
class Usage:
    """The resources that a program used, including all processes that it started."""

    cpu_s: float = 0.0
    peak_bytes: int | None = None
    read_bytes: int | None = None
    written_bytes: int | None = None


class Meter:
    """Collects readings while one body runs; a short body costs only two clock calls. Belongs to the main thread."""

    def __init__(
        self,
        cpu_watts: float,
        report: PowerStatus,
        *,
        alone: bool = True,
        memory: bool = False,
        idle_watts: float = 0.0,
        others: Callable[[], int] = lambda: 0,
    ) -> None:
        """Begin to measure.

        Args:
            cpu_watts: the power that a core draws more when it is busy, for estimates.
            report: the governor's last report.
            memory: also report the peak memory of this process, which is needed to decide on further workers.
            alone: no other body runs in this process. Otherwise the energy is estimated, because a monitor measures the
                whole board.
            idle_watts: the power that the board draws at rest. It is part of the estimate for a body that is alone.
            others: returns how many bodies of other workers run now. All of them share the measured power.
        """
        self._alone, self._memory, self._others = alone, memory, others
        self._cpu_watts, self._idle_watts = cpu_watts, idle_watts
        self.began = time.monotonic()
        self._watts: dict[float, float] = {}  # the watts of this body by the monotonic time of the measurement
        self._mixes: list[tuple[float, Mix]] = []  # watts, and the mix of sources at that moment
        self._first_mix = report.mix
        self._charged = False  # the battery was charged meanwhile, so its shunt did not measure what the board drew
        self._max_c: float | None = None
        self._throttled: bool | None = None
        self.note(report)

    def note(self, report: PowerStatus, *, held: bool = False) -> None:
        """Add the readings of a report. To add a report twice does no harm.

        `held` tells that the body was held at that time, so the power is not its own.
        """
        for reading in report.readings:
            if reading.value is None:
                continue
            if reading.what == "temperature":
                self._max_c = max(reading.value, self._max_c if self._max_c is not None else reading.value)
            elif reading.what in _SLOWING:
                self._throttled = bool(self._throttled) or reading.value > 0
        measured = meters(report.readings)
        if not measured or not self._alone or held:
            return
        measured_at = max(report.monotonic - reading.age_s for reading in measured)
        # A value from before the start says nothing about the body.
        if measured_at <= self.began or measured_at in self._watts:
            return
        watts = [reading.value or 0.0 for reading in measured]
        if min(watts) < 0:
            self._charged = True
            return
        share = sum(watts) / (1 + self._others())
        self._watts[measured_at] = share
        if report.mix is not None:
            self._mixes.append((share, report.mix))

    def end(self, *, seconds: float, cpu_seconds: float, held_s: float, usage: Usage | None = None) -> Energy:
        """Return the energy receipt of a body that ended now.

        Args:
            seconds: time from the start to the end of the body, including the time for which it was held.
            cpu_seconds: CPU time of the body and its program.
            held_s: time for which the body was held.
            usage: the resources that its program used, or None if it ran no program.
        """
        held_s = min(held_s, seconds)
        if usage is not None:  # this includes processes that the program left running
            cpu_seconds = max(cpu_seconds, usage.cpu_s)
        ran_s = seconds - held_s
        joules, metering = cpu_seconds * self._cpu_watts, Metering.ESTIMATED
        if self._watts and not self._charged:
            joules = ran_s * sum(self._watts.values()) / len(self._watts)
            metering = Metering.MEASURED
        elif self._alone:
            joules += ran_s * self._idle_watts / (1 + self._others() if self._idle_watts else 1)
        mix = self._mix()
        return Energy(
            seconds=round(ran_s, 6),
            cpu_seconds=round(cpu_seconds, 6),
            joules=round(joules, 3),
            metering=metering,
            held_s=round(held_s, 3),
            max_c=self._max_c,
            throttled=self._throttled,
            sun_joules=round(joules * mix.sun, 3),
            battery_joules=round(joules * mix.battery, 3),
            mains_joules=round(joules * mix.mains, 3),
            shared=not self._alone,
            peak_bytes=_peak_bytes(usage, own=self._memory),
            read_bytes=None if usage is None else usage.read_bytes,
            written_bytes=None if usage is None else usage.written_bytes,
        )

    def _mix(self) -> Mix:
        """Return the mean mix of sources, weighted by watts, or the mix at the start if nothing was measured."""
        total = sum(watts for watts, _ in self._mixes)
        if total <= 0:
            return self._first_mix or Mix()
        return Mix(
            sun=sum(watts * mix.sun for watts, mix in self._mixes) / total,
            battery=sum(watts * mix.battery for watts, mix in self._mixes) / total,
            mains=sum(watts * mix.mains for watts, mix in self._mixes) / total,
        )


def _peak_bytes(usage: Usage | None, *, own: bool) -> int | None:
    """Return the peak memory of a program, or None if there is no figure.

    With `own` the peak of this process is added, because both are in memory at the same time.
    """
    peaks = [usage.peak_bytes] if usage is not None and usage.peak_bytes is not None else []
    if own:
        peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10)
    return sum(peaks) if peaks else None
