"""Reads batteries and mains from the kernel's folder `/sys/class/power_supply`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Annotated, ClassVar

from msgspec import Meta

from edge.config.about import about
from edge.config.power import PowerConfig
from edge.core.layout import Layout
from edge.power.inputs import sysfs
from edge.power.inputs.battery import BatteryConfig, Chemistry
from edge.power.inputs.doubt import FrozenCheck, JumpCheck, SupplyCheck
from edge.power.inputs.quantity import DISCHARGING, Quantity, charge, supply
from edge.power.inputs.reading import Reading, Unreadable, known, unknown
from edge.power.inputs.source import FoundSource

_MAINS = frozenset({"Mains", "USB", "Wireless"})
_BATTERIES = frozenset({"Battery", "UPS"})
_SUPPLIED = {"Discharging": 0, "Charging": 1, "Full": 1, "Not charging": 1}
_CHARGING = {"Discharging": False, "Charging": True}
_CHEMISTRY: dict[str, Chemistry] = {"Li-ion": "li-ion", "Li-poly": "li-ion", "LiFe": "lifepo4"}


class PowerSupplyConfig(BatteryConfig, frozen=True, tag="power_supply"):
    """Batteries and mains as the kernel shows them."""

    probe_rank: ClassVar[int] = 10

    root: Annotated[Path, about("folder in which the kernel shows power supplies")] = Path("/sys/class/power_supply")
    device: Annotated[str | None, about("name of the only supply to read; null: all of them")] = None
    frozen_after_s: Annotated[
        float,
        Meta(ge=0, le=604_800),
        about("a value that has not changed for this long is not believed; 0: it is always believed"),
    ] = 21_600.0

    def quantities(self, power: PowerConfig) -> tuple[Quantity, ...]:
        """Return charge and volts of the batteries, the supply, and whether a battery is discharging."""
        return charge(power), self.volts_quantity(), supply(power), DISCHARGING

    def open(self, layout: Layout, notify: Callable[[], None]) -> PowerSupply:
        """Open the source."""
        return PowerSupply(self)

    @classmethod
    def probe(cls, root: Path) -> Iterator[FoundSource]:
        """Yield one source for all supplies in the kernel's folder, if there are any."""
        path = root / "sys/class/power_supply"
        if nodes := [folder.name for folder in sysfs.folders(path)]:
            yield FoundSource(cls(root=path), note=f"kernel power supplies: {', '.join(nodes)}")


class PowerSupply:
    """Reads `charge` (%), `volts`, `watts` and `discharging` of each battery, and one `supply` (1: power from outside).

    A node is a folder of one battery or mains under `root`; `device` limits the source to one node. Without a mains
    node, `supply` follows the `status` of the batteries. If that is Unknown too, as it always is with MAX17040 gauges,
    no `supply` is reported. Batteries of a mouse or keyboard (`scope` Device) are ignored.
    """

    def __init__(self, record: PowerSupplyConfig) -> None:
        self.name, self._record = record.label, record
        self._root = record.root
        self._jumps: dict[str, JumpCheck] = {}
        self._frozen: dict[str, FrozenCheck] = {}
        self._supplies: dict[str, SupplyCheck] = {}
        self._labels: dict[str, str] = {}  # node of a battery -> source name of its readings; a vanished node stays
        self._mains = False  # True once a mains node has been seen

    def read(self, now: float) -> tuple[Reading, ...]:
        """Return the current readings of all nodes."""
        batteries: list[Path] = []
        mains: list[Path] = []
        device = self._record.device
        for folder in [self._root / device] if device else sysfs.folders(self._root):
            try:
                kind = sysfs.text(folder / "type")
            except Unreadable as err:
                if device:
                    return self._gone(err)
                continue
            with suppress(Unreadable):
                if sysfs.text(folder / "scope") == "Device":
                    continue
            if kind in _BATTERIES:
                batteries.append(folder)
            elif kind in _MAINS:
                mains.append(folder)
        if not batteries and not mains:
            return self._gone(f"no battery and no mains under {self._root}")
        self._mains = self._mains or bool(mains)
        self._name(batteries)
        by_battery = {battery.name: self._battery(now, battery) for battery in batteries}
        gone = [
            unknown(label, "charge", f"{self._root / name}: unplugged", "%")
            for name, label in self._labels.items()
            if name not in by_battery
        ]
        readings = [reading for found in by_battery.values() for reading in found]
        charges = {name: found[0].value for name, found in by_battery.items()}
        return (*readings, *gone, *self._supply(now, mains, batteries, charges))

    def close(self) -> None:
        """Do nothing: the source holds nothing open."""

    def _gone(self, reason: object) -> tuple[Reading, ...]:
        """Return the readings if there is no node: what was reported before is unknown, else the source itself."""
        readings = [unknown(label, "charge", reason, "%") for label in self._labels.values()]
        readings += [unknown(self.name, "supply", reason)] if self._mains else []
        return tuple(readings) or (unknown(self.name, "source", reason),)

    def _name(self, batteries: list[Path]) -> None:
        """Give each battery the source name of its readings. A new node takes over the name of a vanished one."""
        present = {battery.name for battery in batteries}
        vanished = sorted(self._labels.keys() - present)
        several = len(batteries) > 1 or bool(self._labels)
        for battery in batteries:
            if battery.name in self._labels:
                continue
            if vanished:  # after a driver is bound again, the node of the same battery may have another number
                self._labels[battery.name] = self._labels.pop(vanished.pop(0))
            else:
                self._labels[battery.name] = f"{self.name}:{battery.name}" if several else self.name

    def _battery(self, now: float, folder: Path) -> list[Reading]:
        """Return the readings of one battery; the first one is its charge."""
        source = self._labels[folder.name]
        with suppress(Unreadable):
            if sysfs.text(folder / "present") == "0":
                return [unknown(source, "charge", f"{folder}: no battery fitted", "%")]
        status = _text(folder / "status")
        readings: list[Reading] = []
        millivolts: int | None = None
        if (folder / "voltage_now").exists():
            try:
                millivolts = sysfs.integer(folder / "voltage_now", 500_000, 100_000_000) // 1000
                readings.append(known(source, "volts", millivolts / 1000, "V"))
            except Unreadable as err:
                readings.append(unknown(source, "volts", err, "V"))
        try:
            percent, raw = self._charge(folder)
        except Unreadable as err:
            readings.insert(0, unknown(source, "charge", err, "%"))
        else:
            volts = None if millivolts is None else millivolts / 1000
            contradiction = self._contradiction(folder, percent, volts, status)
            supported = not contradiction and self._comparable(folder, volts)
            reading = self._believed(now, folder, percent, (raw, millivolts), status, supported=supported)
            if contradiction:
                reading = unknown(source, "charge", f"{folder}: {contradiction}", "%")
                if self._record.volts_limits():  # neither of the two may decide
                    readings = [unknown(source, "volts", reading.reason, "V")]
            readings.insert(0, reading)
        if (watts := self._watts(folder, source, millivolts, status)) is not None:
            readings.append(watts)
        if status in _SUPPLIED:
            readings.append(known(source, "discharging", float(status == "Discharging")))
        return readings

    def _charge(self, folder: Path) -> tuple[float, int]:
        """Return (percent, raw number). Raises Unreadable."""
        if (folder / "capacity").exists():
            raw = sysfs.integer(folder / "capacity", 0, 120)  # MAX17040 gauges may report some points over 100
            return min(float(raw), 100.0), raw
        for quantity in ("energy", "charge"):
            if (folder / f"{quantity}_now").exists():
                raw = sysfs.integer(folder / f"{quantity}_now", 0, 10**12)
                full = sysfs.integer(folder / f"{quantity}_full", 1, 10**12)
                if raw > full * 1.2:
                    raise Unreadable(f"{folder}: absurd ({quantity}_now {raw} of {full})")
                return min(100.0, 100.0 * raw / full), raw
        raise Unreadable(f"{folder}: no capacity, energy_now or charge_now")

    def _contradiction(self, folder: Path, percent: float, volts: float | None, status: str) -> str:
        """Return why charge and volts cannot both be right, or an empty string."""
        if volts is None:
            return ""
        return self._record.contradiction(
            percent, volts, charging=_CHARGING.get(status), reported=_CHEMISTRY.get(_text(folder / "technology"))
        )

    def _comparable(self, folder: Path, volts: float | None) -> bool:
        """Return True if the volts can be compared with a charge."""
        reported = _CHEMISTRY.get(_text(folder / "technology"))
        return volts is not None and self._record.charge_by_volts(volts, reported=reported) is not None

    def _believed(
        self, now: float, folder: Path, percent: float, raw: tuple[int, int | None], status: str, *, supported: bool
    ) -> Reading:
        """Return the charge, or an unknown reading with the reason not to believe it."""
        source = self._labels[folder.name]
        if percent == 0 and raw[1] is None:
            # A charge of 0 is more often a bad bus than an empty battery. Only volts could tell them apart.
            return unknown(source, "charge", f"{folder}: exactly 0 % and no volts to confirm it", "%")
        jump = self._jumps.setdefault(folder.name, JumpCheck()).check(now, percent, supported=supported)
        still = self._frozen.setdefault(folder.name, FrozenCheck(self._record.frozen_after_s)).check(now, raw)
        if percent >= 95 or status in {"Full", "Not charging"}:
            still = ""  # the charge of a full battery on mains may stay the same for days
        if doubt := jump or still:
            return unknown(source, "charge", f"{folder}: {doubt}", "%")
        return known(source, "charge", percent, "%")

    def _watts(self, folder: Path, source: str, millivolts: int | None, status: str) -> Reading | None:
        """Return the watts out of the battery (positive while it discharges), or None if the node has no such value."""
        try:
            if (folder / "power_now").exists():
                watts = abs(sysfs.integer(folder / "power_now", -(10**10), 10**10)) / 1e6
            elif millivolts is not None and (folder / "current_now").exists():
                watts = abs(sysfs.integer(folder / "current_now", -(10**9), 10**9)) * millivolts / 1e9
            else:
                return None
        except Unreadable as err:
            return unknown(source, "watts", err, "W")
        return known(source, "watts", -watts if status == "Charging" else watts, "W")

    def _supply(
        self, now: float, mains: list[Path], batteries: list[Path], charges: dict[str, float | None]
    ) -> list[Reading]:
        """Return the reading of the supply, or an empty list if no node reports one."""
        online: list[int] = []
        for folder in mains:
            try:
                online.append(sysfs.integer(folder / "online", 0, 2))  # 2: online and programmable (USB-PD)
            except Unreadable as err:
                return [unknown(self.name, "supply", err)]
        status = {battery.name: _text(battery / "status") for battery in batteries}
        reason = ""
        if online:
            present = any(online)
        else:
            reported = [_SUPPLIED[each] for each in status.values() if each in _SUPPLIED]
            if not reported:
                return []
            present, reason = bool(min(reported)), "from the battery's status"
        for name, each in status.items():
            check = self._supplies.setdefault(name, SupplyCheck())
            if not present:
                check.lost()
                continue
            report = f"mains online and {name} {each or 'Unknown'}"
            believed, doubt = check.present(
                now,
                charges.get(name),
                discharging=each == "Discharging",
                status=report,
                charging=each == "Charging",
            )
            if believed is None:
                return [unknown(self.name, "supply", doubt)]
            if not believed:
                return [known(self.name, "supply", 0.0, reason=doubt)]
        return [known(self.name, "supply", float(present), reason=reason)]


def _text(path: Path) -> str:
    """Return the text of a file of a node, or an empty string if it cannot be read."""
    try:
        return sysfs.text(path)
    except Unreadable:
        return ""
