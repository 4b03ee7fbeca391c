"""The input of a source of kind `power_supply`."""

from __future__ import annotations

import shutil
from pathlib import Path

from edge.power.inputs.source import Source
from edge.power.sources.power_supply import PowerSupply, PowerSupplyConfig
from tests.unit.power.rigs.rig import Rig, Values, write


class PowerSupplyRig(Rig):
    frozen_after_s = 3600.0

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        battery = folder / "battery"
        self.faults = {
            "missing": lambda: shutil.rmtree(battery),
            "empty": lambda: write(battery / "capacity", ""),
            "garbled": lambda: write(battery / "capacity", b"\xff\xfe8"),
            "words": lambda: write(battery / "capacity", "eighty\n"),
            "zero": self.zero,
            "absurd": lambda: write(battery / "capacity", "65535\n"),
            "negative": lambda: write(battery / "capacity", "-1\n"),
            "jumped": lambda: write(battery / "capacity", "5\n"),
            "not fitted": lambda: write(battery / "present", "0\n"),
        }

    def open(self) -> Source:
        return PowerSupply(PowerSupplyConfig(root=self.folder, frozen_after_s=self.frozen_after_s))

    def good(self) -> Values:
        battery = self.folder / "battery"
        for name, text in {
            "type": "Battery", "present": "1", "capacity": "71", "voltage_now": "3925000",
            "current_now": "-200000", "status": "Discharging",
        }.items():  # fmt: skip
            write(battery / name, text + "\n")
        write(self.folder / "mains" / "type", "Mains\n")
        write(self.folder / "mains" / "online", "0\n")
        write(self.folder / "mouse" / "type", "Battery\n")
        write(self.folder / "mouse" / "scope", "Device\n")
        write(self.folder / "mouse" / "capacity", "3\n")
        return {"charge": (71.0, "%"), "volts": (3.925, "V"), "watts": (0.785, "W"), "supply": (0.0, "")}

    def zero(self) -> None:
        write(self.folder / "battery" / "capacity", "0\n")
        write(self.folder / "battery" / "voltage_now", "0\n")


RIGS: dict[str, type[Rig]] = {"power_supply": PowerSupplyRig}
