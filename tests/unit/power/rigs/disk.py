"""The input of a source of kind `disk`."""

from __future__ import annotations

import os
from pathlib import Path

from edge.power.inputs.source import Source
from edge.power.sources.disk import Disk, DiskConfig
from tests.unit.power.rigs.rig import Rig, Values


class DiskRig(Rig):
    main = "disk"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.path = folder / "state"
        self.faults = {"missing": self.path.unlink, "no size": self.sizeless}

    def open(self) -> Source:
        return Disk(DiskConfig(), path=self.path)

    def good(self) -> Values:
        self.path.unlink(missing_ok=True)
        self.path.symlink_to(self.folder)
        usage = os.statvfs(self.folder)
        return {"disk": (round(usage.f_bavail * usage.f_frsize / 1e6, 1), "MB")}

    def sizeless(self) -> None:
        self.path.unlink()
        self.path.symlink_to("/proc")


RIGS: dict[str, type[Rig]] = {"disk": DiskRig}
