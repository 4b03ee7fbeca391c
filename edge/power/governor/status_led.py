"""Shows the power state on an LED of the board."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edge.config.power import LedConfig
from edge.model import PowerState

#: Seconds on and off; None is steady light. Flashes in good states are rare, since each one wakes the board twice.
PATTERNS: dict[PowerState, tuple[float, float] | None] = {
    PowerState.SURPLUS: None,
    PowerState.NORMAL: (0.05, 4.95),
    PowerState.LOW: (0.5, 4.5),
    PowerState.PAUSED: (2.0, 2.0),
    PowerState.UNKNOWN: (0.5, 0.5),
    PowerState.CRITICAL: (0.1, 0.1),
}


class StatusLed:
    """A gpiozero LED: steady light at surplus, a short flash at normal, a longer one at low, fast flashes at critical.

    With `pwm` the LED fades in and out at low and unknown, in place of flashing. Belongs to the governor's thread.
    """

    def __init__(self, config: LedConfig) -> None:
        from gpiozero import LED, PWMLED  # heavy, so only a board that configures an LED loads it

        self._pwm = config.pwm
        # `Any`: gpiozero has no types.
        self._led: Any = (PWMLED if config.pwm else LED)(config.pin, active_high=config.active == "high")
        self._shown: PowerState | None = None

    def show(self, state: PowerState) -> None:
        """Show `state` from now on."""
        if state is self._shown:
            return
        self._shown = state
        pattern = PATTERNS[state]
        if pattern is None:
            self._led.on()
        elif self._pwm and state in {PowerState.LOW, PowerState.UNKNOWN}:
            self._led.pulse(fade_in_time=pattern[0], fade_out_time=pattern[0])
        else:
            self._led.blink(on_time=pattern[0], off_time=pattern[1])

    def close(self) -> None:
        """Release the pin; the LED is then dark."""
        self._led.close()


def opened(config: LedConfig | None, log: Callable[[str], None]) -> StatusLed | None:
    """Return the LED, or None if none is configured or its pin cannot be opened. The governor works without an LED."""
    if config is None:
        return None
    try:
        return StatusLed(config)
    except Exception as err:  # lgpio, gpiozero and the kernel each have their own errors
        log(f"no LED on GPIO {config.pin}: {type(err).__name__}: {err}")
        return None
