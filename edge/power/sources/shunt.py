"""Reads volts, amps and watts of a shunt monitor (INA219, INA226, INA260, INA3221) from the kernel's hwmon files."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from edge.config.about import about
from edge.config.power import PowerConfig
from edge.core.layout import Layout
from edge.power.inputs import sysfs
from edge.power.inputs.battery import BatteryConfig
from edge.power.inputs.doubt import FrozenCheck
from edge.power.inputs.quantity import AMPS, BATTERY_AMPS, BATTERY_WATTS, DISCHARGING, WATTS, Quantity
from edge.power.inputs.reading import Reading, Unreadable, known, unknown
from edge.power.inputs.source import FoundSource

_SHUNTS = re.compile("ina[0-9]+x*")


class ShuntConfig(BatteryConfig, frozen=True, tag="shunt"):
    """A shunt monitor (INA219, INA226, INA260, INA3221) through the kernel's hwmon."""

    probe_rank: ClassVar[int] = 30

    root: Annotated[Path, about("folder in which the kernel shows sensors")] = Path("/sys/class/hwmon")
    chip: Annotated[str | None, about("name of the chip, such as ina219; null: the first ina*")] = None
    device: Annotated[
        Annotated[str, Meta(pattern=r"^[A-Za-z0-9:._-]{1,64}$")] | None,
        about("bus address of the chip, such as 1-0041, if there are two chips of the same name"),
    ] = None
    channel: Annotated[int, Meta(ge=1, le=3), about("channel of the chip; an INA3221 has three")] = 1
    shunt_milliohm: Annotated[
        Annotated[float, Meta(gt=0, le=10_000)] | None,
        about("as printed on the board (Waveshare: 100); null: the value that the driver uses"),
    ] = None
    measures: Annotated[
        Literal["board", "battery"] | None,
        about("board: all the current that the board draws flows through the shunt; battery: the current into and "
              "out of the battery; null: battery if `cells` or `volts` is set, else board"),
    ] = None  # fmt: skip
    current: Annotated[
        Literal["discharge_positive", "charge_positive"],
        about("what a positive current means: the battery is discharged, or it is charged; it depends on the wiring"),
    ] = "discharge_positive"
    frozen_after_s: Annotated[
        float,
        Meta(ge=0, le=604_800),
        about("values that have not changed for this long are not believed; 0: they are always believed"),
    ] = 900.0

    @property
    def of_battery(self) -> bool:
        """True for a shunt between battery and board, which also measures the charging."""
        return self.measures == "battery" if self.measures else self.volts_limits() is not None

    def owns(self) -> tuple[tuple[str, str, str], ...]:
        """Return the channel. If two sources read the same channel, its watts would count twice."""
        return (("channel", "channel of a shunt monitor", f"{self.root} {self.chip} {self.device} {self.channel}"),)

    def quantities(self, power: PowerConfig) -> tuple[Quantity, ...]:
        """Return volts, and amps and watts of the board or of the battery."""
        if self.of_battery:
            return self.volts_quantity(), BATTERY_AMPS, BATTERY_WATTS, DISCHARGING
        return self.volts_quantity(), AMPS, WATTS

    def open(self, layout: Layout, notify: Callable[[], None]) -> Shunt:
        """Open the source."""
        return Shunt(self)

    @classmethod
    def probe(cls, root: Path) -> Iterator[FoundSource]:
        """Yield each channel of each chip. Chips of the same name get different source names by their addresses."""
        path = root / "sys/class/hwmon"
        chips: list[tuple[Path, str, str | None]] = []
        for folder in sysfs.folders(path):
            try:
                name = sysfs.text(folder / "name")
            except Unreadable:
                continue
            if _SHUNTS.fullmatch(name):
                chips.append((folder, name, sysfs.address(folder)))
        for folder, name, device in chips:
            alone = [other for _, other, _ in chips].count(name) == 1
            suffix = "" if alone or device is None else f"-{device.lower()}"
            note = (
                f"{name}{f' at {device}' if device else ''}: set `shunt_milliohm` to the value printed on the board, "
                "`measures` to board or battery, and `cells` or `volts` if volts should decide"
            )
            is_3221 = (folder / "shunt1_resistor").exists()
            for channel in (1, 2, 3) if is_3221 else (1,):
                label = (f"shunt{channel}" if is_3221 else name) + suffix
                record = cls(name=_label(label), root=path, chip=name, device=device, channel=channel)
                yield FoundSource(record, note=note)


class Shunt:
    """Reads volts, amps and watts of one channel.

    A shunt in the board's supply reports `amps` and `watts`, and this energy is counted for the jobs that run. A shunt
    of the battery reports `battery_amps` and `battery_watts`, which are positive while the battery discharges, and
    `discharging`.

    The driver assumes a shunt of 10 milliohm unless the device tree has another value. Many boards have 100 milliohm,
    and then every current is wrong by a factor of ten. `shunt_milliohm` is the value that is printed on the board. If
    the driver calculates with another value, amps and watts are unknown.
    """

    def __init__(self, record: ShuntConfig) -> None:
        self.name, self._record = record.label, record
        self._chip = re.compile(re.escape(record.chip)) if record.chip else _SHUNTS
        self._frozen = FrozenCheck(record.frozen_after_s)
        self._amps_name, self._watts_name = (
            ("battery_amps", "battery_watts") if record.of_battery else ("amps", "watts")
        )

    def read(self, now: float) -> tuple[Reading, ...]:
        """Return the readings from what the chip measures now."""
        try:
            folder = sysfs.hwmon(self._record.root, self._chip, device=self._record.device)
        except Unreadable as err:
            return (unknown(self.name, "volts", err, "V"), unknown(self.name, self._watts_name, err, "W"))
        volts, amps = self._volts(folder), self._amps(folder)
        if doubt := self._frozen.check(now, (volts.value, amps.value)):
            quantities = (("volts", "V"), (self._amps_name, "A"), (self._watts_name, "W"))
            return tuple(unknown(self.name, what, f"{folder}: {doubt}", unit) for what, unit in quantities)
        readings = (volts, amps, self._watts(folder, volts, amps))
        if self._record.of_battery and amps.value is not None:
            return (*readings, known(self.name, "discharging", float(amps.value > 0)))
        return readings

    def close(self) -> None:
        """Do nothing: the source holds nothing open."""

    def _is_3221(self, folder: Path) -> bool:
        return (folder / "shunt1_resistor").exists()

    def _volts(self, folder: Path) -> Reading:
        # An ina2xx has the voltage across the shunt in in0 and the bus voltage in in1. An ina3221 has the bus voltages
        # of its channels in in1 to in3.
        channel = self._record.channel if self._is_3221(folder) else 1
        try:
            millivolts = sysfs.integer(folder / f"in{channel}_input", 0, 100_000)
        except Unreadable as err:
            return unknown(self.name, "volts", err, "V")
        if millivolts < 500:
            return unknown(
                self.name, "volts", f"{folder}: {millivolts} mV is too low; the bus is faulty or a wire is open", "V"
            )
        return known(self.name, "volts", millivolts / 1000, "V")

    def _amps(self, folder: Path) -> Reading:
        is_3221, channel, wanted = self._is_3221(folder), self._record.channel, self._record.shunt_milliohm
        try:
            resistor = sysfs.integer(folder / (f"shunt{channel}_resistor" if is_3221 else "shunt_resistor"), 1, 10**8)
            if wanted and abs(resistor / 1000 - wanted) > 0.02 * wanted:
                raise Unreadable(
                    f"{folder}: the driver calculates with a shunt of {resistor / 1000:g} milliohm, "
                    f"but `shunt_milliohm` is {wanted:g}"
                )
            milliamps = sysfs.integer(folder / f"curr{channel if is_3221 else 1}_input", -200_000, 200_000)
        except Unreadable as err:
            return unknown(self.name, self._amps_name, err, "A")
        sign = -1 if self._record.current == "charge_positive" else 1
        note = "" if wanted else f"correct only if the shunt has {resistor / 1000:g} milliohm"
        return known(self.name, self._amps_name, sign * milliamps / 1000, "A", reason=note)

    def _watts(self, folder: Path, volts: Reading, amps: Reading) -> Reading:
        """Return the watts. Those of a battery get the sign of the current, because `power1_input` has no sign."""
        if amps.value is None:
            return unknown(self.name, self._watts_name, amps.reason, "W")
        try:
            if (folder / "power1_input").exists() and not self._is_3221(folder):
                watts = sysfs.integer(folder / "power1_input", 0, 10**10) / 1e6
            elif volts.value is None:
                return unknown(self.name, self._watts_name, volts.reason, "W")
            else:
                watts = round(volts.value * abs(amps.value), 3)
        except Unreadable as err:
            return unknown(self.name, self._watts_name, err, "W")
        if amps.value < 0 and self._record.of_battery:
            watts = -watts
        elif amps.value < 0 and self._record.measures is None:
            reason = (
                f"{folder}: {amps.value:g} A flow backwards: either a battery is being charged (`measures: battery`), "
                "or the shunt is the other way round (`current: charge_positive`)"
            )
            return unknown(self.name, self._watts_name, reason, "W")
        # In the board's supply, current flows only to the board, so the sign only shows how the shunt is soldered.
        return known(self.name, self._watts_name, watts, "W", reason=amps.reason)


def _label(text: str) -> str:
    return re.sub(r"[^a-z0-9_-]", "-", text)[:32]
