"""Room left where results go: a full card is a reason to hold as well."""

from __future__ import annotations

import os
from pathlib import Path

from edge.power.sources.reading import Reading, known, unknown


class Disk:
    """Reads `disk`: megabytes free to us on the file system of `path`."""

    def __init__(self, name: str = "disk", *, path: Path = Path("/var/lib/edge")) -> None:
        self.name, self.path = name, path

    def read(self, now: float) -> tuple[Reading, ...]:  # noqa: ARG002 - the kernel keeps the count
        """What statvfs says now."""
        try:
            stat = os.statvfs(self.path)
        except OSError as err:
            return (unknown(self.name, "disk", f"{self.path}: {err.strerror or err}", "MB"),)
        if stat.f_blocks == 0 or stat.f_bavail > stat.f_blocks:  # proc, sysfs, or a file system in trouble
            return (unknown(self.name, "disk", f"{self.path}: its file system tells no size", "MB"),)
        return (known(self.name, "disk", round(stat.f_bavail * stat.f_frsize / 1e6, 1), "MB"),)

    def close(self) -> None:
        """Nothing is held open."""
