"""Switches light sleep on and off: cores off, lowest CPU clock, Wi-Fi in power save.

The governor only writes a request. A unit of systemd carries it out as root.
"""

from __future__ import annotations

from collections.abc import Callable

from edge.core import durable
from edge.core.layout import Layout


class LightSleep:
    """Requests light sleep by the content of a file that the unit `edge-sleep.path` watches."""

    def __init__(self, layout: Layout, log: Callable[[str], None]) -> None:
        self._path, self._log = layout.sleep_light, log
        self.on = False

    def start(self, why: str) -> None:
        """Request light sleep, unless it is on already."""
        if not self.on:
            self.on = self._write("on")
            if self.on:
                self._log(f"sleeps lightly: {why}")

    def off(self) -> None:
        """Request the end of light sleep. It writes nothing on a board that never slept lightly."""
        if self.on or self._path.exists():
            self._write("off")
            self.on = False

    def _write(self, request: str) -> bool:
        try:
            durable.replace_volatile(self._path, f"{request}\n".encode())
        except OSError as err:
            self._log(f"{self._path}: {err.strerror or err}")
            return False
        return True
