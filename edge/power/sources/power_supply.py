"""Batteries and mains as the kernel shows them in `/sys/class/power_supply`."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from edge.power.sources import sysfs
from edge.power.sources.reading import FrozenCheck, JumpCheck, Reading, Unreadable, known, unknown

_MAINS = frozenset({"Mains", "USB", "Wireless"})
_BATTERIES = frozenset({"Battery", "UPS"})
_CHARGING = {"Discharging": 0, "Charging": 1, "Full": 1, "Not charging": 1}


class PowerSupply:
    """Reads `charge` (%), `volts`, `watts` of each battery and one `supply` (1: power from outside).

    `device` limits it to one folder under `root`. Without any mains node, `supply` is taken from a
    battery's `status`; where that is Unknown too (MAX17040 gauges never know) nothing is said of it.
    Batteries of a mouse or keyboard (`scope` Device) do not count.
    """

    def __init__(
        self,
        name: str = "power_supply",
        *,
        root: Path = Path("/sys/class/power_supply"),
        device: str | None = None,
        frozen_after_s: float = 21_600.0,
    ) -> None:
        self.name, self.root, self.device, self.frozen_after_s = name, root, device, frozen_after_s
        self._jumps: dict[str, JumpCheck] = {}
        self._frozen: dict[str, FrozenCheck] = {}
        self._labels: dict[str, str] = {}  # battery -> name of its readings; one that vanishes stays in here
        self._mains = False  # has been seen

    def read(self, now: float) -> tuple[Reading, ...]:
        """Everything the nodes say now."""
        batteries: list[Path] = []
        mains: list[Path] = []
        for folder in [self.root / self.device] if self.device else sysfs.folders(self.root):
            try:
                kind = sysfs.text(folder / "type")
            except Unreadable as err:
                if self.device:
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
            return self._gone(f"no battery and no mains under {self.root}")
        self._mains = self._mains or bool(mains)
        self._name(batteries)
        readings = [r for battery in batteries for r in self._battery(now, battery)]
        present = {battery.name for battery in batteries}
        gone = [
            unknown(label, "charge", f"{self.root / name}: unplugged", "%")
            for name, label in self._labels.items()
            if name not in present
        ]
        return (*readings, *gone, *self._supply(mains, batteries))

    def close(self) -> None:
        """Nothing is held open."""

    def _gone(self, reason: object) -> tuple[Reading, ...]:
        """Nothing is there: what was told before is unknown; where nothing ever was, the source itself."""
        readings = [unknown(label, "charge", reason, "%") for label in self._labels.values()]
        readings += [unknown(self.name, "supply", reason)] if self._mains else []
        return tuple(readings) or (unknown(self.name, "source", reason),)

    def _name(self, batteries: list[Path]) -> None:
        """Give each battery the name of its readings; one in the place of one that vanished takes over that name."""
        present = {battery.name for battery in batteries}
        vanished = sorted(self._labels.keys() - present)
        several = len(batteries) > 1 or bool(self._labels)
        for battery in batteries:
            if battery.name in self._labels:
                continue
            if vanished:  # a driver that is bound again may number its node anew
                self._labels[battery.name] = self._labels.pop(vanished.pop(0))
            else:
                self._labels[battery.name] = f"{self.name}:{battery.name}" if several else self.name

    def _battery(self, now: float, folder: Path) -> list[Reading]:
        source = self._labels[folder.name]
        with suppress(Unreadable):
            if sysfs.text(folder / "present") == "0":
                return [unknown(source, "charge", f"{folder}: no battery fitted", "%")]
        readings: list[Reading] = []
        millivolts: int | None = None
        if (folder / "voltage_now").exists():
            try:
                millivolts = sysfs.integer(folder / "voltage_now", 500_000, 100_000_000) // 1000
                readings.append(known(source, "volts", millivolts / 1000, "V"))
            except Unreadable as err:
                readings.append(unknown(source, "volts", err, "V"))
        try:
            charge, raw = self._charge(folder)
            readings.insert(0, self._believed(now, folder, source, charge, (raw, millivolts)))
        except Unreadable as err:
            readings.insert(0, unknown(source, "charge", err, "%"))
        if (watts := self._watts(folder, source, millivolts)) is not None:
            readings.append(watts)
        return readings

    def _charge(self, folder: Path) -> tuple[float, int]:
        """(percent, raw number). Raises Unreadable."""
        if (folder / "capacity").exists():
            raw = sysfs.integer(folder / "capacity", 0, 120)  # MAX17040 gauges go some points over 100
            return min(float(raw), 100.0), raw
        for quantity in ("energy", "charge"):
            if (folder / f"{quantity}_now").exists():
                raw = sysfs.integer(folder / f"{quantity}_now", 0, 10**12)
                full = sysfs.integer(folder / f"{quantity}_full", 1, 10**12)
                if raw > full * 1.2:
                    raise Unreadable(f"{folder}: absurd ({quantity}_now {raw} of {full})")
                return min(100.0, 100.0 * raw / full), raw
        raise Unreadable(f"{folder}: no capacity, energy_now or charge_now")

    def _believed(self, now: float, folder: Path, source: str, charge: float, raw: tuple[int, int | None]) -> Reading:
        """The charge, or the reason not to believe it."""
        if charge == 0 and raw[1] is None:
            # More often a bad bus than an empty battery; volts beside it would tell.
            return unknown(source, "charge", f"{folder}: exactly 0 % and no volts to confirm it", "%")
        jump = self._jumps.setdefault(folder.name, JumpCheck(20.0)).check(now, charge)
        still = self._frozen.setdefault(folder.name, FrozenCheck(self.frozen_after_s)).check(now, raw)
        if charge >= 95 or self._status(folder) in {"Full", "Not charging"}:
            still = ""  # a full battery on mains may well stand still for days
        if doubt := jump or still:
            return unknown(source, "charge", f"{folder}: {doubt}", "%")
        return known(source, "charge", charge, "%")

    def _watts(self, folder: Path, source: str, millivolts: int | None) -> Reading | None:
        """Watts out of the battery (positive: discharging), where the node tells."""
        try:
            if (folder / "power_now").exists():
                watts = abs(sysfs.integer(folder / "power_now", -(10**10), 10**10)) / 1e6
            elif millivolts is not None and (folder / "current_now").exists():
                watts = abs(sysfs.integer(folder / "current_now", -(10**9), 10**9)) * millivolts / 1e9
            else:
                return None
        except Unreadable as err:
            return unknown(source, "watts", err, "W")
        return known(source, "watts", -watts if self._status(folder) == "Charging" else watts, "W")

    def _supply(self, mains: list[Path], batteries: list[Path]) -> list[Reading]:
        online: list[int] = []
        for folder in mains:
            try:
                online.append(sysfs.integer(folder / "online", 0, 2))  # 2: programmable, as USB-PD says it
            except Unreadable as err:
                return [unknown(self.name, "supply", err)]
        if online:
            return [known(self.name, "supply", float(any(online)))]
        said = [_CHARGING[status] for b in batteries if (status := self._status(b)) in _CHARGING]
        return [known(self.name, "supply", float(min(said)), reason="from the battery's status")] if said else []

    def _status(self, folder: Path) -> str:
        try:
            return sysfs.text(folder / "status")
        except Unreadable:
            return "Unknown"
