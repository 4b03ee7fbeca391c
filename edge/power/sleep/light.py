"""Light sleep: cores off, CPU at its lowest, Wi-Fi in power save. Root carries it out; the governor only asks."""

from __future__ import annotations

from collections.abc import Callable

from edge.core import durable
from edge.core.layout import Layout


class LightSleep:
    """Asks by the content of a file that the unit `edge-sleep.path` watches."""

    def __init__(self, layout: Layout, log: Callable[[str], None]) -> None:
        self._path, self._log = layout.sleep_light, log
        self.on = False

    def start(self, why: str) -> None:
        """Ask for light sleep; nothing happens if it is on already."""
        if not self.on:
            self.on = self._write("on")
            if self.on:
                self._log(f"sleeps lightly: {why}")

    def off(self) -> None:
        """End light sleep; a board that never slept writes nothing."""
        if self.on or self._path.exists():
            self._write("off")
            self.on = False

    def _write(self, word: str) -> bool:
        try:
            durable.replace_volatile(self._path, f"{word}\n".encode())
        except OSError as err:
            self._log(f"{self._path}: {err.strerror or err}")
            return False
        return True
