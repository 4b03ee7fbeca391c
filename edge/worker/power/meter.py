"""The energy that a body takes: measured if a power monitor was read while it ran, else estimated from CPU time.

A shunt in the board's supply measures all that the board draws. A shunt between battery and board measures the board
only while the battery discharges. The two are never added.
"""

from __future__ import annotations

import resource
import time
from dataclasses import dataclass

from edge.model import Energy, Metering, PowerStatus, Reading

#: `undervoltage` is 0 or 1; `throttled` has the firmware's four bits for the present.
_SLOWING = ("undervoltage", "throttled")


@dataclass(frozen=True)
class Usage:
    """What a program used, with all that it started."""

    cpu_s: float = 0.0
    peak_bytes: int | None = None
    read_bytes: int | None = None
    written_bytes: int | None = None


class Meter:
    """Collects readings while one body runs; a short body costs only two clock calls. Belongs to the main thread."""

    def __init__(self, cpu_watts: float, report: PowerStatus, *, alone: bool = True, memory: bool = False) -> None:
        """Begin to measure.

        Args:
            cpu_watts: watts of the board while one CPU is busy, for estimates.
            report: the governor's last report.
            memory: tell the memory of the worker, too, by which further workers are started.
            alone: no other body runs at the same time. Otherwise the energy is estimated, because a shunt measures all.
        """
        self._alone, self._memory = alone, memory
        self._cpu_watts = cpu_watts
        self.began = time.monotonic()
        self._watts: list[tuple[float, float]] = []  # (when, how many)
        self._charged = False  # the battery was charged meanwhile, so its shunt did not measure what the board drew
        self._max_c: float | None = None
        self._throttled: bool | None = None
        self.note(report)

    def note(self, report: PowerStatus) -> None:
        """Add the readings of a report; the same report twice does no harm."""
        for reading in report.readings:
            if reading.value is None:
                continue
            if reading.what == "temperature":
                self._max_c = max(reading.value, self._max_c if self._max_c is not None else reading.value)
            elif reading.what in _SLOWING:
                self._throttled = bool(self._throttled) or reading.value > 0
        measured = _beside(report, "watts", "amps") or _beside(report, "battery_watts", "battery_amps")
        if not measured or not self._alone:
            return
        measured_at = max(report.monotonic - reading.age_s for reading in measured)
        # A value from before the start says nothing about the body.
        if measured_at <= self.began or measured_at in dict(self._watts):
            return
        watts = [reading.value or 0.0 for reading in measured]
        if min(watts) < 0:
            self._charged = True
        else:
            self._watts.append((measured_at, sum(watts)))

    def end(self, *, seconds: float, cpu_seconds: float, held_s: float, usage: Usage | None = None) -> Energy:
        """Return the receipt of a body that ended now.

        Args:
            seconds: its time, with the time it was held.
            cpu_seconds: of the body and its program.
            held_s: the time it was held.
            usage: what its program used; None: it was none.
        """
        held_s = min(held_s, seconds)
        if usage is not None:  # with what it had left running
            cpu_seconds = max(cpu_seconds, usage.cpu_s)
        ran_s = seconds - held_s
        joules, metering = cpu_seconds * self._cpu_watts, Metering.ESTIMATED
        if self._watts and not self._charged:
            joules = ran_s * sum(watts for _, watts in self._watts) / len(self._watts)
            metering = Metering.MEASURED
        return Energy(
            seconds=round(ran_s, 6),
            cpu_seconds=round(cpu_seconds, 6),
            joules=round(joules, 3),
            metering=metering,
            held_s=round(held_s, 3),
            max_c=self._max_c,
            throttled=self._throttled,
            peak_bytes=_peak_bytes(usage, own=self._memory),
            read_bytes=None if usage is None else usage.read_bytes,
            written_bytes=None if usage is None else usage.written_bytes,
        )


def _peak_bytes(usage: Usage | None, *, own: bool) -> int | None:
    """The peak of a program, and of its worker where that is wanted: both are there at the same time."""
    peaks = [usage.peak_bytes] if usage is not None and usage.peak_bytes is not None else []
    if own:
        peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10)
    return sum(peaks) if peaks else None


def _beside(report: PowerStatus, what: str, other: str) -> list[Reading]:
    """Return known readings of `what` by a shunt. A shunt reports `other` too; a charger or UPS reports only watts."""
    shunts = {reading.source for reading in report.readings if reading.what == other}
    return [each for each in report.readings if each.what == what and each.value is not None and each.source in shunts]
