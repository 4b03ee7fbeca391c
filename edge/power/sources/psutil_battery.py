"""Reads the battery through psutil, as a check of the source `power_supply`, which reads the kernel's own files."""

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
    """The used part of the answer of psutil, which has no types for it. psutil may also return None in its place."""

    @property
    def percent(self) -> object:
        """Charge in percent."""

    @property
    def secsleft(self) -> int | None:
        """Seconds until the battery is empty; negative if the time is unknown or unlimited."""

    @property
    def power_plugged(self) -> bool | None:
        """True while power comes from outside, or None if that is unknown."""


def _sensors_battery() -> Battery | None:
    import psutil  # only a board that configures this source loads it

    return psutil.sensors_battery()


class PsutilBatteryConfig(PowerSourceConfig, frozen=True, tag="psutil_battery"):
    """The battery as psutil reports it: a check of `power_supply`, not a replacement."""

    def quantities(self, power: PowerConfig) -> tuple[Quantity, ...]:
        """Return charge, supply and remaining runtime."""
        return charge(power), supply(power), RUNTIME

    def open(self, layout: Layout, notify: Callable[[], None]) -> PsutilBattery:
        """Open the source."""
        return PsutilBattery(self)


class PsutilBattery:
    """Reads `charge` (%), `supply` and `runtime` (s) from psutil. On many boards psutil finds no battery."""

    def __init__(
        self, record: PsutilBatteryConfig, *, sensors: Callable[[], Battery | None] = _sensors_battery
    ) -> None:
        self.name, self._sensors = record.label, sensors
        self._jump, self._supply = JumpCheck(), SupplyCheck()

    def read(self, now: float) -> tuple[Reading, ...]:
        """Return the readings from what psutil reports now."""
        try:
            battery = self._sensors()
        except Exception as err:  # psutil may raise any error while it parses /sys
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
        """Do nothing: the source holds nothing open."""

    def _plugged(self, now: float, *, plugged: bool, charge: float | None) -> Reading:
        if not plugged:
            self._supply.lost()
            return known(self.name, "supply", 0.0)
        present, reason = self._supply.present(now, charge, discharging=False, status="psutil reports plugged in")
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
