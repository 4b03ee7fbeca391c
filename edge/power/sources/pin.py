"""A GPIO that tells of supply or battery: edge-driven by gpiozero, read again at each sample."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from edge.power.reading import Reading, Verdict, known, unknown


class Pin:
    """Reads `supply` (1: power from outside) or `low_battery` (1: the board says so) from one pin.

    `notify` is called at each edge from gpiozero's thread: it must only wake somebody up. A pin has one
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
        notify: Callable[[], None] = lambda: None,
    ) -> None:
        self.name, self.pin, self.tells, self.active = name, pin, tells, active
        self.pull, self.bounce_s, self._notify = pull, bounce_s, notify
        self._device: Any = None

    def read(self, now: float) -> tuple[Reading, ...]:  # noqa: ARG002 - a level has no past
        """The level of now."""
        what = "supply" if self.tells == "supply" else "low_battery"
        try:
            if self._device is None:
                self._device = self._open()
            high = bool(self._device.pin.state)
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
        device, self._device = self._device, None
        if device is not None:
            with suppress(Exception):
                device.close()

    def _open(self) -> Any:
        from gpiozero import DigitalInputDevice  # heavy: only a board that configures a pin pays for it

        pull_up = {"up": True, "down": False, "none": None}[self.pull]
        device = DigitalInputDevice(
            self.pin,
            pull_up=pull_up,
            active_state=True if pull_up is None else None,
            bounce_time=self.bounce_s or None,
        )
        device.when_activated = device.when_deactivated = self._notify
        return device
