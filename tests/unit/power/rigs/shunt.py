"""The input of a source of kind `shunt`."""

from __future__ import annotations

import shutil
from pathlib import Path

from edge.power.inputs.source import Source
from edge.power.sources.shunt import Shunt, ShuntConfig
from tests.unit.power.rigs.rig import Rig, Values, write


class ShuntRig(Rig):
    main = "volts"
    frozen_after_s = 900.0

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.chip = folder / "hwmon1"
        self.faults = {
            "missing": lambda: shutil.rmtree(self.chip),
            "garbled": lambda: write(self.chip / "in1_input", "12.6 V\n"),
            "zero": lambda: write(self.chip / "in1_input", "0\n"),
            "absurd": lambda: write(self.chip / "in1_input", "99999999\n"),
        }

    def open(self) -> Source:
        return Shunt(
            ShuntConfig(root=self.folder, measures="board", shunt_milliohm=100.0, frozen_after_s=self.frozen_after_s)
        )

    def good(self) -> Values:
        write(self.folder / "hwmon0" / "name", "rpi_volt\n")
        for name, text in {
            "name": "ina219", "in0_input": "41", "in1_input": "12610", "curr1_input": "-412",
            "power1_input": "5195320", "shunt_resistor": "100000",
        }.items():  # fmt: skip
            write(self.chip / name, text + "\n")
        return {"volts": (12.61, "V"), "amps": (-0.412, "A"), "watts": (5.19532, "W")}


RIGS: dict[str, type[Rig]] = {"shunt": ShuntRig}
