"""The battery as psutil sees it: a second opinion beside the kernel's own files."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edge.power.sources.reading import JumpCheck, Reading, known, unknown


def _sensors_battery() -> Any:
    import psutil  # only a board that configures this source pays for it

    return psutil.sensors_battery()


class PsutilBattery:
    """Reads `charge` (%), `supply` and `runtime` (s) from psutil, which answers None on many boards."""

    def __init__(self, name: str = "psutil_battery", *, sensors: Callable[[], Any] = _sensors_battery) -> None:
        self.name, self._sensors = name, sensors
        self._jump = JumpCheck(20.0)

    def read(self, now: float) -> tuple[Reading, ...]:
        """What psutil says now."""
        try:
            battery = self._sensors()
        except Exception as err:  # psutil raises whatever its parsing of /sys trips over
            return (unknown(self.name, "charge", f"psutil: {type(err).__name__}: {err}", "%"),)
        if battery is None:
            return (unknown(self.name, "charge", "psutil sees no battery", "%"),)
        readings = [self._charge(now, battery.percent)]
        if battery.power_plugged is not None:
            readings.append(known(self.name, "supply", float(bool(battery.power_plugged))))
        if battery.secsleft is not None and battery.secsleft >= 0:  # negative: unknown or unlimited
            readings.append(known(self.name, "runtime", float(battery.secsleft), "s"))
        return tuple(readings)

    def close(self) -> None:
        """Nothing is held open."""

    def _charge(self, now: float, percent: object) -> Reading:
        if not isinstance(percent, int | float) or not 0 <= percent <= 120:
            return unknown(self.name, "charge", f"psutil: absurd charge ({percent!r})", "%")
        if percent == 0:
            return unknown(
                self.name, "charge", "psutil: exactly 0 % is more often a bad bus than an empty battery", "%"
            )
        charge = min(100.0, float(percent))
        if doubt := self._jump.check(now, charge):
            return unknown(self.name, "charge", f"psutil: {doubt}", "%")
        return known(self.name, "charge", charge, "%")
