"""What a body takes from the battery: measured where a power monitor was read while it ran, else estimated."""

from __future__ import annotations

import time

from edge.model import Energy, Metering, PowerStatus, Reading

#: `undervoltage` is 0 or 1; `throttled` holds the firmware's four bits of now.
_SLOWING = ("undervoltage", "throttled")


class Meter:
    """Gathers readings while one body runs. A body of a moment costs it nothing but two clocks."""

    def __init__(self, cpu_watts: float, said: PowerStatus) -> None:
        """Begin, with what the governor said last."""
        self._cpu_watts = cpu_watts
        self.began = time.monotonic()
        self._watts: list[tuple[float, float]] = []  # (when, how many)
        self._max_c: float | None = None
        self._throttled: bool | None = None
        self.note(said)

    def note(self, said: PowerStatus) -> None:
        """Take in the governor's word; the same word twice does no harm."""
        watts = 0.0
        measured_at: float | None = None
        for reading in said.readings:
            if reading.value is None:
                continue
            if reading.what == "temperature":
                self._max_c = max(reading.value, self._max_c if self._max_c is not None else reading.value)
            elif reading.what in _SLOWING:
                self._throttled = bool(self._throttled) or reading.value > 0
            elif _of_the_board(reading, said):
                watts += reading.value
                measured_at = max(measured_at or 0.0, said.monotonic - reading.age_s)
        # What was read before the body began says nothing of it.
        if measured_at is not None and measured_at > self.began and measured_at not in dict(self._watts):
            self._watts.append((measured_at, watts))

    def end(self, *, seconds: float, cpu_seconds: float, held_s: float) -> Energy:
        """The receipt of a body that ended now; `seconds` with the time it was held."""
        held_s = min(held_s, seconds)
        ran_s = seconds - held_s
        joules, metering = cpu_seconds * self._cpu_watts, Metering.ESTIMATED
        if self._watts:
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


def _of_the_board(reading: Reading, said: PowerStatus) -> bool:
    """True for watts that the board itself draws: a shunt's, which come with amps; a charger's or a UPS's do not."""
    return reading.what == "watts" and any(
        other.source == reading.source and other.what == "amps" for other in said.readings
    )
