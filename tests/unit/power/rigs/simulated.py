"""The input of a source of kind `simulated`."""

from __future__ import annotations

from pathlib import Path

from edge.power.inputs.source import Source
from edge.power.sources.simulated import Simulated, SimulatedConfig
from tests.unit.power.rigs.rig import Rig, Values, write


class SimulatedRig(Rig):
    main = "simulated"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.live = folder / "state"
        self.faults = {
            "garbled": lambda: write(self.live, "sunny"),
            "empty": lambda: write(self.live, ""),
            "a folder": self.a_folder,
            "played": lambda: write(self.live, "unknown"),
        }

    def open(self) -> Source:
        return Simulated(SimulatedConfig(), live=self.live)

    def good(self) -> Values:
        if self.live.is_dir():
            self.live.rmdir()
        write(self.live, "normal\n")
        return {"simulated": (1.0, "")}

    def a_folder(self) -> None:
        self.live.unlink()
        self.live.mkdir()


RIGS: dict[str, type[Rig]] = {"simulated": SimulatedRig}
