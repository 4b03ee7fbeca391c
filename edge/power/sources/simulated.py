"""Power that is only played: set live by a file, by a script of states, or by a sun that never rests."""

from __future__ import annotations

import math
from pathlib import Path

from edge.config.sources import SimulatedStep
from edge.power.sources import sysfs
from edge.power.sources.reading import Reading, Unreadable, Verdict, known, unknown

#: How a person says a state, and what that is as a verdict.
VERDICTS = {
    "surplus": Verdict.SURPLUS,
    "normal": Verdict.OK,
    "low": Verdict.LOW,
    "critical": Verdict.CRITICAL,
    "unknown": Verdict.UNKNOWN,
}


class Simulated:
    """Reads `simulated`, or `charge` and `solar_watts` of a battery under a solar day of `day_s` seconds.

    What stands in `live` (written by `edge power simulate`) comes before script and sun; without any of
    them the state is `start`. Script and day begin with the first read.
    """

    def __init__(
        self,
        name: str = "simulated",
        *,
        live: Path,
        script: tuple[SimulatedStep, ...] = (),
        loop: bool = True,
        day_s: float | None = None,
        start: str = "surplus",
    ) -> None:
        self.name, self.live = name, live
        self.script, self.loop, self.day_s, self.start = script, loop, day_s, start
        self._began: float | None = None
        self.quiet = not script and not day_s  # then only the file changes it, and that is watched

    def read(self, now: float) -> tuple[Reading, ...]:
        """What is played now."""
        self._began = now if self._began is None else self._began
        if self.live.exists():
            try:
                state = sysfs.text(self.live)
            except Unreadable as err:
                return (unknown(self.name, "simulated", err),)
            return (self._state(state, f"set by `edge power simulate {state}`"),)
        elapsed_s = max(0.0, now - self._began)
        if self.day_s:
            return self._sun(elapsed_s / self.day_s % 1.0)
        if self.script:
            return (self._state(self._scripted(elapsed_s), "as the script has it"),)
        return (self._state(self.start, "as configured"),)

    def close(self) -> None:
        """Nothing is held open."""

    def _state(self, state: str, reason: str) -> Reading:
        if state not in VERDICTS:
            return unknown(self.name, "simulated", f"{self.live}: garbled ({state[:20]!r})")
        if (verdict := VERDICTS[state]) is Verdict.UNKNOWN:
            return unknown(self.name, "simulated", f"unknown, {reason}")
        return known(self.name, "simulated", float(list(VERDICTS).index(state)), verdict=verdict, reason=reason)

    def _scripted(self, elapsed_s: float) -> str:
        total_s = sum(step.for_s for step in self.script)
        left_s = elapsed_s % total_s if self.loop else elapsed_s
        for step in self.script:
            if left_s < step.for_s:
                return step.state
            left_s -= step.for_s
        return self.script[-1].state

    def _sun(self, day: float) -> tuple[Reading, ...]:
        """Sun from 6 to 18 o'clock, a battery that is emptiest at half past seven and full at dusk."""
        watts = max(0.0, 60.0 * math.sin(2 * math.pi * (day - 0.25)))
        charge = 57.0 - 43.0 * math.cos(2 * math.pi * (day - 0.3125))
        return (
            known(self.name, "charge", round(charge, 1), "%", reason="simulated"),
            known(self.name, "solar_watts", round(watts, 1), "W", reason="simulated"),
        )
