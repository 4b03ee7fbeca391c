"""The button: a short press pauses and resumes, a long one asks for a clean shutdown."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from enum import StrEnum

from edge.config.power import ButtonConfig
from edge.power.inputs.gpio import Line, open_line


class Press(StrEnum):
    """What a hand did."""

    SHORT = "short"
    LONG = "long"


class Button:
    """Turns edges into presses, with a clock of its own: gpiozero's `when_held` looks ten times a second.

    `wake` is called at each edge from another thread; `presses` then returns what was pressed, and `wait_s`
    when to ask again. A line that cannot be opened is logged once, and costs the button only.
    """

    def __init__(self, config: ButtonConfig, wake: Callable[[], None], log: Callable[[str], None]) -> None:
        self._hold_s, self._pressed_level = config.hold_s, config.pull == "down"
        self._edges: deque[tuple[float, bool]] = deque()
        self._down_since: float | None = None
        self._wake = wake
        self._line: Line | None = None
        try:
            self._line = open_line(
                config.via, config.pin, pull=config.pull, bounce_s=config.bounce_s, edge=self._on_edge
            )
        except Exception as err:  # lgpio, gpiozero and the kernel each have their own errors
            log(f"no button on GPIO {config.pin}: {type(err).__name__}: {err}")

    def presses(self, now: float) -> list[Press]:
        """What was pressed since the last call; a hold counts while the button is still down."""
        found = []
        while self._edges:
            at, down = self._edges.popleft()
            if down:
                self._down_since = at if self._down_since is None else self._down_since
            elif self._down_since is not None:
                found.append(Press.LONG if at - self._down_since >= self._hold_s else Press.SHORT)
                self._down_since = None
        if self._down_since is not None and now - self._down_since >= self._hold_s:
            found.append(Press.LONG)
            self._down_since = None  # its release is no press of its own
        return found

    def wait_s(self, now: float) -> float | None:
        """Seconds until a button that is down counts as held; None while it is up."""
        return None if self._down_since is None else max(0.0, self._down_since + self._hold_s - now)

    def close(self) -> None:
        """Let the line go."""
        line, self._line = self._line, None
        if line is not None:
            line.close()

    def _on_edge(self) -> None:
        """Called by the line's thread."""
        line = self._line
        if line is None:
            return
        with suppress(Exception):  # a line that goes away meanwhile is no press
            self._edges.append((time.monotonic(), line.level() == self._pressed_level))
        self._wake()
