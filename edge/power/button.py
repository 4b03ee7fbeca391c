"""The button: a short press pauses and resumes, a long one asks for a clean shutdown."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Any

from edge.config.power import ButtonConfig


class Press(StrEnum):
    """What a hand did."""

    SHORT = "short"
    LONG = "long"


class Button:
    """Calls `pressed` from gpiozero's thread: when the button is let go, or held for `hold_s`."""

    def __init__(self, config: ButtonConfig, pressed: Callable[[Press], None]) -> None:
        from gpiozero import Button as GpioButton  # heavy: only a board that configures a button pays for it

        self._held = False
        self._pressed = pressed
        self._button: Any = GpioButton(
            config.pin,
            pull_up=config.pull == "up",
            bounce_time=config.bounce_s or None,
            hold_time=config.hold_s,
        )
        self._button.when_held = self._on_hold
        self._button.when_released = self._on_release

    def close(self) -> None:
        """Let the pin go."""
        self._button.close()

    def _on_hold(self) -> None:
        self._held = True
        self._pressed(Press.LONG)

    def _on_release(self) -> None:
        held, self._held = self._held, False
        if not held:
            self._pressed(Press.SHORT)
