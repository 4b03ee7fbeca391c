"""Sums up the energy that the board drew over a day. The file of that day holds it, so no extra write is needed."""

from __future__ import annotations

import msgspec

from edge.model import Mix


class Drawn(msgspec.Struct, array_like=True):
    """Energy and time of one day, separately for the time in which the board was measured and the time without."""

    joules: float = 0.0  # all energy that was measured
    idle_joules: float = 0.0  # part of `joules`: while no body ran whose receipt has the draw of the whole board
    sun_joules: float = 0.0
    battery_joules: float = 0.0
    mains_joules: float = 0.0
    seconds: float = 0.0  # time in which the board was measured
    idle_seconds: float = 0.0  # time without such a body in the whole day, measured or not
    unmeasured_seconds: float = 0.0

    def add(self, seconds: float, *, watts: float | None, mix: Mix | None, busy: bool) -> None:
        """Add a span of constant draw.

        Args:
            seconds: length of the span.
            watts: draw of the board, or None if it was not measured.
            mix: shares of the sources, or None if they are not known.
            busy: True if a body ran whose receipt has the draw of the whole board.
        """
        if not busy:
            self.idle_seconds = round(self.idle_seconds + seconds, 3)
        if watts is None:
            self.unmeasured_seconds = round(self.unmeasured_seconds + seconds, 3)
            return
        joules = watts * seconds
        self.seconds = round(self.seconds + seconds, 3)
        self.joules = round(self.joules + joules, 3)
        if not busy:
            self.idle_joules = round(self.idle_joules + joules, 3)
        if mix is not None:
            self.sun_joules = round(self.sun_joules + joules * mix.sun, 3)
            self.battery_joules = round(self.battery_joules + joules * mix.battery, 3)
            self.mains_joules = round(self.mains_joules + joules * mix.mains, 3)
