"""Turns edges of the button's GPIO line into presses: a short one pauses or resumes, a long one shuts down or pairs."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from enum import StrEnum
from pathlib import Path

import msgspec

from edge.config.power import ButtonConfig
from edge.core import durable
from edge.core.host import boot_id
from edge.model.pairing import ButtonHeld
from edge.power.inputs.gpio import Line, open_line


class Press(StrEnum):
    """How long the button was pressed: shorter than `hold_s`, or at least that long."""

    SHORT = "short"
    LONG = "long"


class Button:
    """Turns the edges of one line into presses.

    It measures the time itself, because gpiozero's `when_held` polls ten times a second. `wake` is called at each edge,
    from the thread of the line. All methods belong to the governor's thread: `presses` returns the presses so far, and
    `wait_s` the time until the next call is due. If the line cannot be opened, this is logged once, and the board has
    no button.
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
        """Return the presses since the last call. A long press counts as soon as it is long enough, before its release.

        Args:
            now: seconds of CLOCK_MONOTONIC.
        """
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
            self._down_since = None  # so that the release does not count as another press
        return found

    def wait_s(self, now: float) -> float | None:
        """Return the seconds until a button that is down counts as a long press, or None while it is up."""
        return None if self._down_since is None else max(0.0, self._down_since + self._hold_s - now)

    def close(self) -> None:
        """Release the line. May be called twice."""
        line, self._line = self._line, None
        if line is not None:
            line.close()

    def _on_edge(self) -> None:
        """Record an edge. The thread of the line calls it."""
        line = self._line
        if line is None:
            return
        with suppress(Exception):  # a line that cannot be read now, because it was closed, gives no press
            self._edges.append((time.monotonic(), line.level() == self._pressed_level))
        self._wake()


def report_held(path: Path, now: float, log: Callable[[str], None]) -> None:
    """Report to the gateway that the button was held, so that the gateway can approve the only pairing request."""
    try:
        path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        durable.replace_volatile(path, msgspec.json.encode(ButtonHeld(boot_id(), now)))
    except OSError as err:
        log(f"{path}: {err.strerror or err}")
