"""Measures the free space on the file system of the results: a full card is a reason to pause, too."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, ClassVar

from msgspec import Meta

from edge.config.about import about
from edge.config.power import PowerConfig
from edge.core.errors import ConfigError
from edge.core.layout import Layout
from edge.power.inputs.limits import Band
from edge.power.inputs.quantity import Criterion, Quantity
from edge.power.inputs.reading import Reading, known, unknown
from edge.power.inputs.source import FoundSource, PowerSourceConfig

Megabytes = Annotated[float, Meta(ge=0)]


class DiskConfig(PowerSourceConfig, frozen=True, tag="disk"):
    """Free space on the file system of the results."""

    probe_rank: ClassVar[int] = 70

    path: Annotated[Path | None, about("any path on the file system to watch; null: the path `root`")] = None
    pause_free_mb: Annotated[Megabytes, about("at or below: only jobs of class `always` start")] = 256.0
    resume_free_mb: Annotated[Megabytes, about("at or above: work continues")] = 512.0

    def check(self, key: str) -> None:
        """Raise ConfigError if `pause_free_mb` is not below `resume_free_mb`."""
        if not self.pause_free_mb < self.resume_free_mb:
            allowed = f"must be below {key}.resume_free_mb ({self.resume_free_mb:g})"
            raise ConfigError(f"{key}.pause_free_mb", self.pause_free_mb, allowed)

    def quantities(self, power: PowerConfig) -> tuple[Quantity, ...]:
        """Return the quantity `disk`: free megabytes."""
        criterion = Criterion(band=Band(self.pause_free_mb, self.resume_free_mb), resume_after_s=0.0)
        return (Quantity(what="disk", unit="MB", criterion=criterion),)

    def open(self, layout: Layout, notify: Callable[[], None]) -> Disk:
        """Open the source."""
        return Disk(self, path=self.path or layout.root)

    @classmethod
    def probe(cls, root: Path) -> Iterator[FoundSource]:
        """Yield the disk, which every board has."""
        yield FoundSource(cls())


class Disk:
    """Reads `disk`: the megabytes on the file system of `path` that are free for a user without root rights."""

    def __init__(self, record: DiskConfig, *, path: Path) -> None:
        self.name, self.path = record.label, path

    def read(self, now: float) -> tuple[Reading, ...]:
        """Return the free space that statvfs reports now."""
        try:
            stat = os.statvfs(self.path)
        except OSError as err:
            return (unknown(self.name, "disk", f"{self.path}: {err.strerror or err}", "MB"),)
        if stat.f_blocks == 0 or stat.f_bavail > stat.f_blocks:  # proc, sysfs, or a damaged file system
            return (unknown(self.name, "disk", f"{self.path}: its file system reports no valid size", "MB"),)
        return (known(self.name, "disk", round(stat.f_bavail * stat.f_frsize / 1e6, 1), "MB"),)

    def close(self) -> None:
        """Do nothing: the source holds nothing open."""
