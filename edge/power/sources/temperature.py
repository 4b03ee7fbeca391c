"""The temperature of the SoC from the kernel's thermal zone."""

from __future__ import annotations

from pathlib import Path

from edge.power.sources import sysfs
from edge.power.sources.reading import FrozenCheck, Reading, Unreadable, known, unknown


class Temperature:
    """Reads `temperature` in degrees Celsius; exactly 0 is a dead sensor, not a frosty one."""

    def __init__(
        self,
        name: str = "temperature",
        *,
        path: Path = Path("/sys/class/thermal/thermal_zone0/temp"),
        frozen_after_s: float = 0.0,
    ) -> None:
        self.name, self.path = name, path
        self._frozen = FrozenCheck(frozen_after_s)

    def read(self, now: float) -> tuple[Reading, ...]:
        """The temperature of now."""
        try:
            millis = sysfs.integer(self.path, -40_000, 150_000)
        except Unreadable as err:
            return (unknown(self.name, "temperature", err, "C"),)
        doubt = "exactly 0 degrees" if millis == 0 else self._frozen.check(now, millis)
        if doubt:
            return (unknown(self.name, "temperature", f"{self.path}: {doubt}", "C"),)
        return (known(self.name, "temperature", millis / 1000, "C"),)

    def close(self) -> None:
        """Nothing is held open."""
