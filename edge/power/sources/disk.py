"""Room left where results go: a full card is a reason to hold as well."""

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
    """Room left where results go."""

    probe_rank: ClassVar[int] = 70

    path: Annotated[Path | None, about("on the file system to watch; null: that of `root`")] = None
    pause_free_mb: Megabytes = 256.0
    resume_free_mb: Megabytes = 512.0

    def check(self, key: str) -> None:
        """Raise ConfigError where the two limits cross."""
        if not self.pause_free_mb < self.resume_free_mb:
            allowed = f"must be below {key}.resume_free_mb ({self.resume_free_mb:g})"
            raise ConfigError(f"{key}.pause_free_mb", self.pause_free_mb, allowed)

    def quantities(self, power: PowerConfig) -> tuple[Quantity, ...]:
        """Megabytes free."""
        criterion = Criterion(band=Band(self.pause_free_mb, self.resume_free_mb), resume_after_s=0.0)
        return (Quantity(what="disk", unit="MB", criterion=criterion),)

    def open(self, layout: Layout, notify: Callable[[], None]) -> Disk:
        """The source."""
        return Disk(self, path=self.path or layout.root)

    @classmethod
    def probe(cls, root: Path) -> Iterator[FoundSource]:
        """Every board has a disk."""
        yield FoundSource(cls())


class Disk:
    """Reads `disk`: megabytes free to us on the file system of `path`."""

    def __init__(self, record: DiskConfig, *, path: Path) -> None:
        self.name, self.path = record.label, path

    def read(self, now: float) -> tuple[Reading, ...]:
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
