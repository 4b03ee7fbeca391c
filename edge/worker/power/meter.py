"""What a body takes from the supply: measured where a power monitor was read while it ran, else estimated.

A shunt in the board's supply measures all that the board draws. A shunt between battery and board measures the board
only while the battery is drained: what flows into the battery is not the job's. The two are never added.
"""

from __future__ import annotations

import time

from edge.model import Energy, Metering, PowerStatus, Reading

#: `undervoltage` is 0 or 1; `throttled` holds the firmware's four bits of now.
_SLOWING = ("undervoltage", "throttled")


class Meter:
    """Gathers readings while one body runs. A body of a moment costs it nothing but two clocks."""

    def __init__(self, cpu_watts: float, said: PowerStatus, *, alone: bool = True) -> None:
        """Begin, with what the governor said last. A body that is not `alone` is estimated by its CPU time: what a
        shunt measures is drawn by all.
        """
        self._alone = alone
        self._cpu_watts = cpu_watts
        self.began = time.monotonic()
        self._watts: list[tuple[float, float]] = []  # (when, how many)
        self._charged = False  # a battery was charged meanwhile: its shunt does not tell what the board drew
        self._max_c: float | None = None
        self._throttled: bool | None = None
        self.note(said)

    def note(self, said: PowerStatus) -> None:
        """Take in what the governor reports; the same status twice does no harm."""
        for reading in said.readings:
            if reading.value is None:
                continue
            if reading.what == "temperature":
                self._max_c = max(reading.value, self._max_c if self._max_c is not None else reading.value)
            elif reading.what in _SLOWING:
                self._throttled = bool(self._throttled) or reading.value > 0
        measured = _beside(said, "watts", "amps") or _beside(said, "battery_watts", "battery_amps")
        if not measured or not self._alone:
            return
        measured_at = max(said.monotonic - reading.age_s for reading in measured)
        # What was read before the body began says nothing of it.
        if measured_at <= self.began or measured_at in dict(self._watts):
            return
        watts = [reading.value or 0.0 for reading in measured]
        if min(watts) < 0:
            self._charged = True
        else:
            self._watts.append((measured_at, sum(watts)))

    def end(self, *, seconds: float, cpu_seconds: float, held_s: float) -> Energy:
        """The receipt of a body that ended now; `seconds` with the time it was held."""
        held_s = min(held_s, seconds)
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
        )


def _beside(said: PowerStatus, what: str, other: str) -> list[Reading]:
    """Known readings of `what` by a shunt, which reports `other` as well; a charger's or a UPS's watts stand alone."""
    shunts = {reading.source for reading in said.readings if reading.what == other}
    return [each for each in said.readings if each.what == what and each.value is not None and each.source in shunts]
