"""The battery as psutil sees it: a second opinion beside the kernel's own files."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from edge.config.power import PowerConfig
from edge.core.layout import Layout
from edge.power.inputs.doubt import JumpCheck, SupplyCheck
from edge.power.inputs.quantity import RUNTIME, Quantity, charge, supply
from edge.power.inputs.reading import Reading, known, unknown
from edge.power.inputs.source import PowerSourceConfig


class Battery(Protocol):
    """What psutil answers, in the parts that are used; it types none of them, and `None` is an answer."""

    @property
    def percent(self) -> object:
        """Charge in percent."""

    @property
    def secsleft(self) -> int | None:
        """Seconds left; negative: unknown or unlimited."""

    @property
    def power_plugged(self) -> bool | None:
        """Whether power comes from outside; None: unknown."""


def _sensors_battery() -> Battery | None:
    import psutil  # only a board that configures this source pays for it

    return psutil.sensors_battery()


class PsutilBatteryConfig(PowerSourceConfig, frozen=True, tag="psutil_battery"):
    """The battery as psutil sees it: a second opinion, not the main one."""

    def quantities(self, power: PowerConfig) -> tuple[Quantity, ...]:
        """Charge, supply and the time that is left."""
        return charge(power), supply(power), RUNTIME

    def open(self, layout: Layout, notify: Callable[[], None]) -> PsutilBattery:
        """The source."""
        return PsutilBattery(self)


class PsutilBattery:
    """Reads `charge` (%), `supply` and `runtime` (s) from psutil, which answers None on many boards."""

    def __init__(
        self, record: PsutilBatteryConfig, *, sensors: Callable[[], Battery | None] = _sensors_battery
    ) -> None:
        self.name, self._sensors = record.label, sensors
        self._jump, self._supply = JumpCheck(), SupplyCheck()

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
            readings.append(self._plugged(now, plugged=bool(battery.power_plugged), charge=readings[0].value))
        if battery.secsleft is not None and battery.secsleft >= 0:
            readings.append(known(self.name, "runtime", float(battery.secsleft), "s"))
        return tuple(readings)

    def close(self) -> None:
        """Nothing is held open."""

    def _plugged(self, now: float, *, plugged: bool, charge: float | None) -> Reading:
        if not plugged:
            self._supply.lost()
            return known(self.name, "supply", 0.0)
        present, reason = self._supply.present(now, charge, discharging=False, status="psutil says plugged in")
        return unknown(self.name, "supply", reason) if present is None else known(self.name, "supply", 1.0)

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
