"""The input of a source of kind `temperature`."""

from __future__ import annotations

from pathlib import Path

from edge.power.inputs.source import Source
from edge.power.sources.temperature import Temperature, TemperatureConfig
from tests.unit.power.rigs.rig import Rig, Values, write


class TemperatureRig(Rig):
    main = "temperature"
    frozen_after_s = 7200.0

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.path = folder / "thermal_zone0" / "temp"
        self.faults = {
            "missing": self.path.unlink,
            "garbled": lambda: write(self.path, "warm\n"),
            "zero": lambda: write(self.path, "0\n"),
            "absurd": lambda: write(self.path, "2147483647\n"),
            "empty": lambda: write(self.path, ""),
        }

    def open(self) -> Source:
        return Temperature(TemperatureConfig(path=self.path, frozen_after_s=self.frozen_after_s))

    def good(self) -> Values:
        write(self.path, "48312\n")
        return {"temperature": (48.312, "C")}


RIGS: dict[str, type[Rig]] = {"temperature": TemperatureRig}
