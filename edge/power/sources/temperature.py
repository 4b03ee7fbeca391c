"""Reads the temperature of the SoC from the kernel's thermal zone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, ClassVar

from msgspec import Meta

from edge.config.about import about
from edge.config.power import PowerConfig
from edge.core.errors import ConfigError
from edge.core.layout import Layout
from edge.power.inputs import sysfs
from edge.power.inputs.doubt import FrozenCheck
from edge.power.inputs.limits import Band
from edge.power.inputs.quantity import Criterion, Quantity
from edge.power.inputs.reading import Reading, Unreadable, known, unknown
from edge.power.inputs.source import FoundSource, PowerSourceConfig

Celsius = Annotated[float, Meta(ge=0, le=125)]


class TemperatureConfig(PowerSourceConfig, frozen=True, tag="temperature"):
    """The temperature of the SoC."""

    probe_rank: ClassVar[int] = 60

    path: Annotated[Path, about("file with the temperature in thousandths of a degree")] = Path(
        "/sys/class/thermal/thermal_zone0/temp"
    )
    pause_c: Annotated[Celsius, about("at or above: only jobs of class `always` start")] = 80.0
    resume_c: Annotated[Celsius, about("at or below: work continues")] = 70.0
    frozen_after_s: Annotated[
        float,
        Meta(ge=0, le=604_800),
        about("a value that has not changed for this long is not believed; 0: it is always believed"),
    ] = 0.0

    def check(self, key: str) -> None:
        """Raise ConfigError if `resume_c` is not below `pause_c`."""
        if not self.resume_c < self.pause_c:
            raise ConfigError(f"{key}.resume_c", self.resume_c, f"must be below {key}.pause_c ({self.pause_c:g})")

    def quantities(self, power: PowerConfig) -> tuple[Quantity, ...]:
        """Return the quantity `temperature` in degrees Celsius; high values are bad."""
        criterion = Criterion(band=Band(self.pause_c, self.resume_c, worse_above=True), resume_after_s=0.0)
        return (Quantity(what="temperature", unit="C", criterion=criterion),)

    def open(self, layout: Layout, notify: Callable[[], None]) -> Temperature:
        """Open the source."""
        return Temperature(self)

    @classmethod
    def probe(cls, root: Path) -> Iterator[FoundSource]:
        """Yield the first thermal zone of a processor, if there is one."""
        for folder in sysfs.folders(root / "sys/class/thermal"):
            try:
                kind = sysfs.text(folder / "type")
            except Unreadable:
                continue
            if "cpu" in kind or "soc" in kind or kind == "x86_pkg_temp":
                yield FoundSource(cls(path=folder / "temp"), note=kind)
                return


class Temperature:
    """Reads `temperature` in degrees Celsius. Exactly 0 counts as a dead sensor and is unknown."""

    def __init__(self, record: TemperatureConfig) -> None:
        self.name, self.path = record.label, record.path
        self._frozen = FrozenCheck(record.frozen_after_s)

    def read(self, now: float) -> tuple[Reading, ...]:
        """Return the current temperature."""
        try:
            millis = sysfs.integer(self.path, -40_000, 150_000)
        except Unreadable as err:
            return (unknown(self.name, "temperature", err, "C"),)
        doubt = "exactly 0 degrees" if millis == 0 else self._frozen.check(now, millis)
        if doubt:
            return (unknown(self.name, "temperature", f"{self.path}: {doubt}", "C"),)
        return (known(self.name, "temperature", millis / 1000, "C"),)

    def close(self) -> None:
        """Do nothing: the source holds nothing open."""
