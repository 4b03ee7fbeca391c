"""The input of a source of kind `clock`."""

from __future__ import annotations

from pathlib import Path

from edge.power.inputs.source import Source
from edge.power.sources.clock import Clock, ClockConfig
from tests.unit.power.rigs.rig import Rig, Values


class ClockRig(Rig):
    main = "clock"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.seconds = 0.0
        self.refused = False

        def fail() -> None:
            self.refused = True

        def absurd() -> None:
            self.seconds = 1e30

        self.faults = {"refused": fail, "absurd": absurd}

    def open(self) -> Source:
        return Clock(ClockConfig(require_sync=True), wall=lambda: self.seconds, sync=self.sync)

    def good(self) -> Values:
        self.seconds, self.refused = 1_800_000_000.0, False
        return {"clock": (1_800_000_000.0, "s")}

    def sync(self) -> bool:
        if self.refused:
            raise OSError(1, "Operation not permitted")
        return True


RIGS: dict[str, type[Rig]] = {"clock": ClockRig}
