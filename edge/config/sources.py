"""The sources a board can read power from: one record a `kind`, each key with its bounds and default.

A source is chosen by `kind` and named by `name` (its kind where none is given). A path that is not there
makes its readings `unknown`; it is never taken for good power.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal, Self

import msgspec
from msgspec import Meta

from edge.core.errors import ConfigError

SourceName = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_-]{0,31}$")]
Volts = Annotated[float, Meta(gt=0, le=100)]
Pin = Annotated[int, Meta(ge=0, le=63)] | Annotated[str, Meta(pattern=r"^[A-Za-z0-9:_-]{1,32}$")]
FrozenAfter = Annotated[float, Meta(ge=0, le=604_800)]
Unknown = Literal["low", "stop", "normal"]
Chemistry = Literal["li-ion", "lifepo4", "lead-acid"]


class VoltsConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Volts of the whole battery at which the state changes; critical < pause < resume <= surplus."""

    critical: Volts
    pause: Volts
    resume: Volts
    surplus: Volts | None = None


#: critical, pause, resume, surplus volts of one cell; surplus is where a charger holds it, not where it rests.
CELL_VOLTS: dict[str, tuple[float, float, float, float]] = {
    "li-ion": (3.30, 3.50, 3.70, 4.10),
    "lifepo4": (3.00, 3.15, 3.25, 3.45),
    "lead-acid": (1.90, 1.98, 2.07, 2.25),
}


class SourceConfig(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="kind", omit_defaults=True
):
    """What every source has."""

    name: SourceName | None = None
    unknown: Unknown | None = None  # None: as `power.policy.unknown`

    @property
    def label(self) -> str:
        """The name its readings carry."""
        return self.name or str(self.__struct_config__.tag)

    def check(self, key: str) -> None:
        """Raise ConfigError where two values contradict each other; `key` is where this source stands."""

    def absolute(self, base: Path) -> Self:
        """The same with relative paths taken from `base`."""
        paths = {f: base / v for f in self.__struct_fields__ if isinstance(v := getattr(self, f), Path)}
        return msgspec.structs.replace(self, **paths) if paths else self


class BatteryConfig(SourceConfig, frozen=True):
    """What a source of volts has: they decide only where `cells` or `volts` says what they mean."""

    chemistry: Chemistry = "li-ion"
    cells: Annotated[int, Meta(ge=1, le=30)] | None = None
    volts: VoltsConfig | None = None

    @property
    def volts_limits(self) -> VoltsConfig | None:
        """The limits in force, or None where volts are shown but decide nothing."""
        if self.volts or not self.cells:
            return self.volts
        critical, pause, resume, surplus = (round(limit * self.cells, 2) for limit in CELL_VOLTS[self.chemistry])
        return VoltsConfig(critical=critical, pause=pause, resume=resume, surplus=surplus)

    def check(self, key: str) -> None:
        """Raise ConfigError where the volts cross."""
        if not self.volts:
            return
        rising = [("critical", self.volts.critical), ("pause", self.volts.pause), ("resume", self.volts.resume)]
        for (low_key, low), (high_key, high) in pairwise(rising):
            if not low < high:
                raise ConfigError(f"{key}.volts.{low_key}", low, f"must be below {key}.volts.{high_key} ({high:g})")
        if self.volts.surplus is not None and self.volts.surplus < self.volts.resume:
            allowed = f"must not be below {key}.volts.resume ({self.volts.resume:g})"
            raise ConfigError(f"{key}.volts.surplus", self.volts.surplus, allowed)


class PlainConfig(SourceConfig, frozen=True, tag="plain"):
    """A wall plug that nothing measures: always good."""


class PowerSupplyConfig(BatteryConfig, frozen=True, tag="power_supply"):
    """Batteries and mains as the kernel shows them."""

    root: Path = Path("/sys/class/power_supply")
    device: str | None = None  # None: every battery and mains found there
    frozen_after_s: FrozenAfter = 21_600.0


class PsutilBatteryConfig(SourceConfig, frozen=True, tag="psutil_battery"):
    """The battery as psutil sees it: a second opinion, not the main one."""


class UndervoltageConfig(SourceConfig, frozen=True, tag="undervoltage"):
    """The board's own detector of a supply under about 4.63 V."""

    via: Literal["hwmon", "get_throttled", "vcgencmd"] = "hwmon"
    hwmon_root: Path = Path("/sys/class/hwmon")
    get_throttled: Path = Path("/sys/devices/platform/soc/soc:firmware/get_throttled")
    vcgencmd: str = "vcgencmd"


class PinConfig(SourceConfig, frozen=True, tag="pin"):
    """A GPIO that tells of the supply or the battery; its edges are obeyed at once."""

    pin: Pin
    tells: Literal["supply", "low_battery", "critical_battery"] = "supply"
    active: Literal["high", "low"] = "high"
    pull: Literal["none", "up", "down"] = "none"
    via: Literal["gpiozero", "kernel"] = "gpiozero"
    bounce_s: Annotated[float, Meta(ge=0, le=5)] = 0.01


class ShuntConfig(BatteryConfig, frozen=True, tag="shunt"):
    """A shunt monitor (INA2xx, INA3221) through the kernel's hwmon."""

    root: Path = Path("/sys/class/hwmon")
    chip: str | None = None  # None: the first ina* found
    channel: Annotated[int, Meta(ge=1, le=3)] = 1
    shunt_milliohm: Annotated[float, Meta(gt=0, le=10_000)] | None = None
    frozen_after_s: FrozenAfter = 900.0


class NutConfig(SourceConfig, frozen=True, tag="nut"):
    """Any UPS that Network UPS Tools know, asked by `upsc`."""

    ups: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]+@[A-Za-z0-9_.:\[\]-]+$")] = "ups@localhost"
    upsc: str = "upsc"
    timeout_s: Annotated[float, Meta(gt=0, le=60)] = 5.0


class VeDirectConfig(BatteryConfig, frozen=True, tag="vedirect"):
    """A Victron charger on its VE.Direct port."""

    device: Path = Path("/dev/ttyUSB0")


class TemperatureConfig(SourceConfig, frozen=True, tag="temperature"):
    """The temperature of the SoC."""

    path: Path = Path("/sys/class/thermal/thermal_zone0/temp")
    pause_c: Annotated[float, Meta(ge=0, le=125)] = 80.0
    resume_c: Annotated[float, Meta(ge=0, le=125)] = 70.0
    frozen_after_s: FrozenAfter = 0.0

    def check(self, key: str) -> None:
        """Raise ConfigError where the two limits cross."""
        if not self.resume_c < self.pause_c:
            raise ConfigError(f"{key}.resume_c", self.resume_c, f"must be below {key}.pause_c ({self.pause_c:g})")


class DiskConfig(SourceConfig, frozen=True, tag="disk"):
    """Room left where results go."""

    path: Path | None = None  # None: the state root
    pause_free_mb: Annotated[float, Meta(ge=0)] = 256.0
    resume_free_mb: Annotated[float, Meta(ge=0)] = 512.0

    def check(self, key: str) -> None:
        """Raise ConfigError where the two limits cross."""
        if not self.pause_free_mb < self.resume_free_mb:
            allowed = f"must be below {key}.resume_free_mb ({self.resume_free_mb:g})"
            raise ConfigError(f"{key}.pause_free_mb", self.pause_free_mb, allowed)


class ClockConfig(SourceConfig, frozen=True, tag="clock"):
    """Whether the wall clock can be right."""

    earliest_year: Annotated[int, Meta(ge=1971, le=2100)] = 2025
    require_sync: bool = False


class SimulatedStep(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A verdict and how long it lasts."""

    for_s: Annotated[float, Meta(gt=0)]
    state: Literal["surplus", "normal", "low", "critical", "unknown"]


class SimulatedConfig(SourceConfig, frozen=True, tag="simulated"):
    """Power that is only played: set by `edge power simulate`, by a script, or by a sun that never rests."""

    script: tuple[SimulatedStep, ...] = ()
    loop: bool = True
    day_s: Annotated[float, Meta(gt=0, le=604_800)] | None = None  # a solar day of this length
    start: Literal["surplus", "normal", "low", "critical", "unknown"] = "surplus"
    resume_after_s: Annotated[float, Meta(ge=0, le=86_400)] = 0.0

    def check(self, key: str) -> None:
        """Raise ConfigError where a script and a solar day are both asked for."""
        if self.script and self.day_s:
            raise ConfigError(f"{key}.day_s", self.day_s, f"give either this or {key}.script")


AnySource = (
    PlainConfig
    | PowerSupplyConfig
    | PsutilBatteryConfig
    | UndervoltageConfig
    | PinConfig
    | ShuntConfig
    | NutConfig
    | VeDirectConfig
    | TemperatureConfig
    | DiskConfig
    | ClockConfig
    | SimulatedConfig
)
