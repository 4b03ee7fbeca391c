"""A shunt monitor (INA219, 226, 260, 3221 ...) through the kernel's hwmon: volts, amps and true watts."""

from __future__ import annotations

import re
from pathlib import Path

from edge.power.sources import sysfs
from edge.power.sources.reading import FrozenCheck, Reading, Unreadable, known, unknown


class Shunt:
    """Reads `volts`, `amps` (signed) and `watts` of one channel.

    The driver assumes a shunt of 10 milliohm where the device tree does not say otherwise; many boards
    carry 100, and every current is then ten times wrong. Give `shunt_milliohm` as printed on the board:
    where the driver calculates with another, amps and watts are unknown.
    """

    def __init__(
        self,
        name: str = "shunt",
        *,
        root: Path = Path("/sys/class/hwmon"),
        chip: str | None = None,
        channel: int = 1,
        shunt_milliohm: float | None = None,
        frozen_after_s: float = 900.0,
    ) -> None:
        self.name, self.root, self.channel, self.shunt_milliohm = name, root, channel, shunt_milliohm
        self._chip = re.compile(re.escape(chip) if chip else "ina[0-9]+x*")
        self._frozen = FrozenCheck(frozen_after_s)

    def read(self, now: float) -> tuple[Reading, ...]:
        """What the chip says now."""
        try:
            folder = sysfs.hwmon(self.root, self._chip)
        except Unreadable as err:
            return (unknown(self.name, "volts", err, "V"), unknown(self.name, "watts", err, "W"))
        volts, amps = self._volts(folder), self._amps(folder)
        if doubt := self._frozen.check(now, (volts.value, amps.value)):
            quantities = (("volts", "V"), ("amps", "A"), ("watts", "W"))
            return tuple(unknown(self.name, what, f"{folder}: {doubt}", unit) for what, unit in quantities)
        return volts, amps, self._watts(folder, volts, amps)

    def close(self) -> None:
        """Nothing is held open."""

    def _is_3221(self, folder: Path) -> bool:
        return (folder / "shunt1_resistor").exists()

    def _volts(self, folder: Path) -> Reading:
        # An ina2xx has the shunt's own millivolts in in0 and the bus in in1; an ina3221 the buses in in1 to in3.
        channel = self.channel if self._is_3221(folder) else 1
        try:
            millivolts = sysfs.integer(folder / f"in{channel}_input", 0, 100_000)
        except Unreadable as err:
            return unknown(self.name, "volts", err, "V")
        if millivolts < 500:
            return unknown(self.name, "volts", f"{folder}: {millivolts} mV is a bad bus or an open wire", "V")
        return known(self.name, "volts", millivolts / 1000, "V")

    def _amps(self, folder: Path) -> Reading:
        three = self._is_3221(folder)
        try:
            resistor = sysfs.integer(
                folder / (f"shunt{self.channel}_resistor" if three else "shunt_resistor"), 1, 10**8
            )
            if self.shunt_milliohm and abs(resistor / 1000 - self.shunt_milliohm) > 0.02 * self.shunt_milliohm:
                raise Unreadable(
                    f"{folder}: the driver calculates with a shunt of {resistor / 1000:g} milliohm, "
                    f"configured is {self.shunt_milliohm:g}"
                )
            milliamps = sysfs.integer(folder / f"curr{self.channel if three else 1}_input", -200_000, 200_000)
        except Unreadable as err:
            return unknown(self.name, "amps", err, "A")
        note = "" if self.shunt_milliohm else f"if the shunt is {resistor / 1000:g} milliohm"
        return known(self.name, "amps", milliamps / 1000, "A", reason=note)

    def _watts(self, folder: Path, volts: Reading, amps: Reading) -> Reading:
        if amps.value is None:
            return unknown(self.name, "watts", amps.reason, "W")
        try:
            if (folder / "power1_input").exists() and not self._is_3221(folder):
                watts = sysfs.integer(folder / "power1_input", 0, 10**10) / 1e6
                return known(self.name, "watts", watts, "W", reason=amps.reason)
        except Unreadable as err:
            return unknown(self.name, "watts", err, "W")
        if volts.value is None:
            return unknown(self.name, "watts", volts.reason, "W")
        return known(self.name, "watts", round(volts.value * amps.value, 3), "W", reason=amps.reason)
