"""Plays simulated power: a state set by a file, a script of states, or a solar day that repeats."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from edge.config.about import about
from edge.config.power import PowerConfig
from edge.core.errors import ConfigError
from edge.core.layout import Layout
from edge.power.inputs import sysfs
from edge.power.inputs.quantity import AT_ONCE, Quantity, charge, solar_watts
from edge.power.inputs.reading import Reading, Unreadable, Verdict, known, unknown
from edge.power.inputs.source import PowerSourceConfig

#: The verdict of a simulated reading, by the name of the state.
VERDICTS = {
    "surplus": Verdict.SURPLUS,
    "normal": Verdict.OK,
    "low": Verdict.LOW,
    "critical": Verdict.CRITICAL,
    "unknown": Verdict.UNKNOWN,
}
Played = Literal["surplus", "normal", "low", "critical", "unknown"]


class SimulatedStep(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One step of the script: a state and its duration."""

    for_s: Annotated[float, Meta(gt=0)]
    state: Played


class SimulatedConfig(PowerSourceConfig, frozen=True, tag="simulated"):
    """Simulated power, for trying things out: set by `edge power simulate`, a script or a solar day."""

    script: Annotated[
        tuple[SimulatedStep, ...],
        about(
            "states to simulate, one after the other",
            example=[{"for_s": 60, "state": "low"}, {"for_s": 60, "state": "normal"}],
        ),
    ] = ()
    loop: Annotated[bool, about("false: the last step of the script stays")] = True
    day_s: Annotated[
        Annotated[float, Meta(gt=0, le=604_800)] | None, about("a solar day of this length, in place of a script")
    ] = None
    start: Annotated[Played, about("surplus, normal, low, critical or unknown")] = "surplus"
    resume_after_s: Annotated[float, Meta(ge=0, le=86_400), about("seconds of good power before work continues")] = 0.0

    def check(self, key: str) -> None:
        """Raise ConfigError if both a script and a solar day are configured."""
        if self.script and self.day_s:
            raise ConfigError(f"{key}.day_s", self.day_s, f"give either this or {key}.script")

    def quantities(self, power: PowerConfig) -> tuple[Quantity, ...]:
        """Return the simulated state, which counts from the first sample on, and charge and watts of the solar day."""
        criterion = msgspec.structs.replace(
            AT_ONCE, critical_samples=1, good_samples=1, resume_after_s=self.resume_after_s
        )
        played = Quantity(
            what="simulated",
            criterion=criterion,
            words=lambda reading: f"simulated power is {reading.verdict}",
            recovery="simulated power is good",
        )
        return played, charge(power), solar_watts(power)

    def open(self, layout: Layout, notify: Callable[[], None]) -> Simulated:
        """Open the source."""
        return Simulated(self, live=layout.simulated)


class Simulated:
    """Reads `simulated`, or `charge` and `solar_watts` of a battery under a solar day of `day_s` seconds.

    The state in the file `live`, which `edge power simulate` writes, comes before script and solar day. Without any of
    them the state is `start`. Script and day begin with the first read.
    """

    def __init__(self, record: SimulatedConfig, *, live: Path) -> None:
        self.name, self._record, self._live = record.label, record, live
        self._began: float | None = None
        # Without script and day only the file changes the state, and the governor watches the file.
        self.quiet = not record.script and not record.day_s

    def read(self, now: float) -> tuple[Reading, ...]:
        """Return the readings of the simulated power now."""
        self._began = now if self._began is None else self._began
        if self._live.exists():
            try:
                state = sysfs.text(self._live)
            except Unreadable as err:
                return (unknown(self.name, "simulated", err),)
            return (self._state(state, f"set by `edge power simulate {state}`"),)
        elapsed_s = max(0.0, now - self._began)
        if self._record.day_s:
            return self._sun(elapsed_s / self._record.day_s % 1.0)
        if self._record.script:
            return (self._state(self._scripted(elapsed_s), "from the script"),)
        return (self._state(self._record.start, "as configured"),)

    def close(self) -> None:
        """Do nothing: the source holds nothing open."""

    def _state(self, state: str, reason: str) -> Reading:
        if state not in VERDICTS:
            return unknown(self.name, "simulated", f"{self._live}: garbled ({state[:20]!r})")
        if (verdict := VERDICTS[state]) is Verdict.UNKNOWN:
            return unknown(self.name, "simulated", f"unknown, {reason}")
        return known(self.name, "simulated", float(list(VERDICTS).index(state)), verdict=verdict, reason=reason)

    def _scripted(self, elapsed_s: float) -> str:
        script = self._record.script
        left_s = elapsed_s % sum(step.for_s for step in script) if self._record.loop else elapsed_s
        for step in script:
            if left_s < step.for_s:
                return step.state
            left_s -= step.for_s
        return script[-1].state

    def _sun(self, day: float) -> tuple[Reading, ...]:
        """Return the readings at a time of the solar day, which runs from 0 to 1.

        The sun shines from 6:00 to 18:00. The battery is emptiest at 7:30 and full at 19:30.
        """
        watts = max(0.0, 60.0 * math.sin(2 * math.pi * (day - 0.25)))
        percent = 57.0 - 43.0 * math.cos(2 * math.pi * (day - 0.3125))
        return (
            known(self.name, "charge", round(percent, 1), "%", reason="simulated"),
            known(self.name, "solar_watts", round(watts, 1), "W", reason="simulated"),
        )
