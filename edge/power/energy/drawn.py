"""What the board drew over a day: kept in the file of that day, so it costs the card no write of its own."""

from __future__ import annotations

import msgspec

from edge.model import Mix


class Drawn(msgspec.Struct, array_like=True):
    """Sums over the parts of a day in which something measured the board, and over those in which nothing did."""

    joules: float = 0.0
    idle_joules: float = 0.0  # of that, while no body ran that measures its own
    sun_joules: float = 0.0
    battery_joules: float = 0.0
    mains_joules: float = 0.0
    seconds: float = 0.0  # measured
    idle_seconds: float = 0.0  # of the whole day, measured or not, while no such body ran
    unmeasured_seconds: float = 0.0

    def add(self, seconds: float, *, watts: float | None, mix: Mix | None, busy: bool) -> None:
        """Add a span in which the board drew so much.

        Args:
            seconds: length of the span.
            watts: what the board drew; None: nothing measured it.
            mix: from what it drew it; None: nobody knows.
            busy: a body ran that books what the whole board draws.
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
