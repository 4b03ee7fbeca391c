"""A GPIO that tells of supply or battery: edge-driven, and read again at each sample."""

from __future__ import annotations

from collections.abc import Callable

from edge.power.sources.gpio import Line, open_line
from edge.power.sources.reading import Reading, Verdict, known, unknown


class Pin:
    """Reads `supply` (1: power from outside) or `low_battery` (1: the board says so) from one pin.

    `notify` is called at each edge from another thread: it must only wake somebody up. A pin has one
    owner: one that the kernel holds (gpio-charger) is unknown here.
    """

    def __init__(
        self,
        name: str = "pin",
        *,
        pin: int | str,
        tells: str = "supply",
        active: str = "high",
        pull: str = "none",
        bounce_s: float = 0.01,
        via: str = "gpiozero",
        notify: Callable[[], None] = lambda: None,
    ) -> None:
        self.name, self.pin, self.tells, self.active = name, pin, tells, active
        self.pull, self.bounce_s, self.via, self._notify = pull, bounce_s, via, notify
        self._line: Line | None = None

    def read(self, now: float) -> tuple[Reading, ...]:  # noqa: ARG002 - a level has no past
        """The level of now."""
        what = "supply" if self.tells == "supply" else "low_battery"
        try:
            if self._line is None:
                self._line = open_line(self.via, self.pin, pull=self.pull, bounce_s=self.bounce_s, edge=self._notify)
            high = self._line.level()
        except Exception as err:  # lgpio, gpiozero and the kernel each have their own errors
            self.close()
            return (unknown(self.name, what, f"GPIO {self.pin}: {type(err).__name__}: {err}"),)
        on = high == (self.active == "high")
        if not on or self.tells == "supply":
            return (known(self.name, what, float(on)),)
        verdict = Verdict.LOW if self.tells == "low_battery" else Verdict.CRITICAL
        return (known(self.name, what, 1.0, verdict=verdict, reason=f"GPIO {self.pin} is {self.active}"),)

    def close(self) -> None:
        """Let the pin go."""
        line, self._line = self._line, None
        if line is not None:
            line.close()
