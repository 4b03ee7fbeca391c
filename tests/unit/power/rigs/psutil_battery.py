"""The input of a source of kind `psutil_battery`."""

from __future__ import annotations

import shutil
from pathlib import Path

from edge.power.inputs.source import Source
from edge.power.sources.psutil_battery import PsutilBattery, PsutilBatteryConfig
from tests.unit.power.rigs.rig import Rig, Values, write


class PsutilRig(Rig):
    """psutil itself, on a tree in place of `/sys/class/power_supply`."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.faults = {
            "missing": lambda: shutil.rmtree(folder / "BAT0"),
            "garbled": self.garble,
            "zero": lambda: write(folder / "BAT0" / "energy_now", "0\n"),
            "absurd": lambda: write(folder / "BAT0" / "energy_now", "900000000\n"),
            "jumped": lambda: write(folder / "BAT0" / "energy_now", "2500000\n"),
        }

    def open(self) -> Source:
        return PsutilBattery(PsutilBatteryConfig())

    def good(self) -> Values:
        for name, text in {
            "energy_now": "25000000", "energy_full": "50000000", "power_now": "5000000", "status": "Discharging",
            "capacity": "50",
        }.items():  # fmt: skip
            write(self.folder / "BAT0" / name, text + "\n")
        write(self.folder / "AC0" / "online", "0\n")
        return {"charge": (50.0, "%"), "supply": (0.0, ""), "runtime": (18000.0, "s")}

    def garble(self) -> None:
        for name in ("energy_now", "capacity"):
            write(self.folder / "BAT0" / name, "x\n")


RIGS: dict[str, type[Rig]] = {"psutil_battery": PsutilRig}
