"""Reads a GPIO pin that reports the supply or the battery: at each edge at once, and again at each sample."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

from msgspec import Meta

from edge.config.about import about
from edge.config.pins import ALLOWED, Pin, gpio_number
from edge.config.power import PowerConfig
from edge.core.errors import ConfigError
from edge.core.layout import Layout
from edge.power.inputs.gpio import Line, open_line
from edge.power.inputs.quantity import AT_ONCE, LOW_BATTERY, Quantity, supply
from edge.power.inputs.reading import Reading, Verdict, known, unknown
from edge.power.inputs.source import PowerSourceConfig


class PinConfig(PowerSourceConfig, frozen=True, tag="pin"):
    """A GPIO pin that reports the supply or the battery; each edge takes effect at once."""

    pin: Annotated[Pin, about("a GPIO number, or a name such as GPIO6, BOARD31, J8:31", example=6)]
    tells: Annotated[
        Literal["supply", "low_battery", "critical_battery"], about("supply, low_battery or critical_battery")
    ] = "supply"
    active: Annotated[Literal["high", "low"], about("high or low")] = "high"
    pull: Annotated[Literal["none", "up", "down"], about("none, up or down")] = "none"
    via: Annotated[
        Literal["gpiozero", "kernel"],
        about("gpiozero or kernel; kernel uses /dev/gpiochip, without the 2000 wake-ups a second of gpiozero's lgpio"),
    ] = "gpiozero"
    bounce_s: Annotated[float, Meta(ge=0, le=5), about("debounce time in seconds")] = 0.01

    def check(self, key: str) -> None:
        """Raise ConfigError if there is no such pin."""
        try:
            gpio_number(self.pin)
        except ValueError as err:
            raise ConfigError(f"{key}.pin", self.pin, f"expected {ALLOWED}") from err

    def owns(self) -> tuple[tuple[str, str, str], ...]:
        """Return the GPIO line, which only one source may read."""
        return (("pin", "pin", str(gpio_number(self.pin))),)

    def quantities(self, power: PowerConfig) -> tuple[Quantity, ...]:
        """Return supply and low battery. The line is debounced, so the first sample counts."""
        return supply(power, at_once=True), LOW_BATTERY.with_criterion(AT_ONCE)

    def open(self, layout: Layout, notify: Callable[[], None]) -> PinSource:
        """Open the source."""
        return PinSource(self, notify=notify)


class PinSource:
    """Reads `supply` (1: power from outside) or `low_battery` (1: the battery is low) from one pin.

    `notify` is called at each edge, from another thread, and must not block. A pin can have only one owner: if a kernel
    driver such as gpio-charger holds it, the reading is unknown.
    """

    def __init__(self, record: PinConfig, *, notify: Callable[[], None] = lambda: None) -> None:
        self.name, self._record, self._notify = record.label, record, notify
        self._line: Line | None = None

    def read(self, now: float) -> tuple[Reading, ...]:
        """Return the reading of the pin's current level. Opens the line if it is not open."""
        record = self._record
        what = "supply" if record.tells == "supply" else "low_battery"
        try:
            if self._line is None:
                self._line = open_line(
                    record.via, record.pin, pull=record.pull, bounce_s=record.bounce_s, edge=self._notify
                )
            high = self._line.level()
        except Exception as err:  # lgpio, gpiozero and the kernel each have their own errors
            self.close()
            return (unknown(self.name, what, f"GPIO {record.pin}: {type(err).__name__}: {err}"),)
        on = high == (record.active == "high")
        if not on or record.tells == "supply":
            return (known(self.name, what, float(on)),)
        verdict = Verdict.LOW if record.tells == "low_battery" else Verdict.CRITICAL
        return (known(self.name, what, 1.0, verdict=verdict, reason=f"GPIO {record.pin} is {record.active}"),)

    def close(self) -> None:
        """Release the pin."""
        line, self._line = self._line, None
        if line is not None:
            line.close()
