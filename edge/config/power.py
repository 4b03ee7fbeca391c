"""The `power` section of `edge.yaml`: what the governor senses, what it decides by, what it does then."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from edge.config.sources import AnySource, Pin, PinConfig, PlainConfig, Unknown
from edge.core.errors import ConfigError

Percent = Annotated[float, Meta(ge=0, le=100)]
Samples = Annotated[int, Meta(ge=1, le=100)]
Span = Annotated[float, Meta(ge=0, le=86_400)]
Period = Annotated[float, Meta(ge=0.1, le=3600)]
# Unquoted, YAML 1.1 reads 22:30 as sixty-based digits, which makes it the minute of the day: take both.
TimeOfDay = Annotated[
    Annotated[str, Meta(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")] | Annotated[int, Meta(ge=0, le=1439)],
    Meta(description="a time of day such as 22:00"),
]


class ThresholdConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Charge of the battery at which the state changes, in percent; critical < pause < resume <= surplus."""

    critical_percent: Percent = 10.0
    pause_percent: Percent = 30.0
    resume_percent: Percent = 45.0
    surplus_percent: Percent = 90.0


class WindowConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"from_": "from"}, kw_only=True):
    """A time of day that limits the state, or says what an unknown source counts as."""

    from_: TimeOfDay
    to: TimeOfDay
    at_most: Literal["normal", "low"] | None = None
    unknown_as: Literal["normal"] | None = None

    @property
    def minutes(self) -> tuple[int, int]:
        """(first, end) as minutes of the day; the window goes over midnight where first > end."""
        first, end = (int(t[:2]) * 60 + int(t[3:]) if isinstance(t, str) else t for t in (self.from_, self.to))
        return first, end


class PolicyConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How readings become a state."""

    low_samples: Samples = 3
    critical_samples: Samples = 2
    unknown_samples: Samples = 3
    good_samples: Samples = 3
    resume_after_s: Span = 300.0
    undervoltage_clear_s: Span = 60.0
    max_rises_per_hour: Annotated[int, Meta(ge=1, le=1000)] = 6
    unknown: Unknown = "low"
    surplus_watts: Annotated[float, Meta(gt=0)] | None = None
    surplus_on_supply: bool = False
    windows: tuple[WindowConfig, ...] = ()


class SamplingConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How often the sources are read; edges of a pin are obeyed at once, whatever stands here."""

    sample_s: Period = 10.0
    fast_s: Period = 2.0
    slow_s: Period = 30.0
    stable_after_s: Span = 600.0


class CriticalConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is done when nothing is left."""

    action: Literal["poweroff", "none"] = "poweroff"
    dry_run: bool = False
    grace_s: Annotated[float, Meta(ge=0, le=600)] = 15.0
    stop_units: tuple[str, ...] = ("edge-worker.service", "edge-gateway.service", "rabbitmq-server.service")
    wake_after_s: Annotated[float, Meta(ge=60, le=604_800)] | None = 3600.0
    wakealarm: Path = Path("/sys/class/rtc/rtc0/wakealarm")
    systemctl: str = "systemctl"


class LedConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A lamp that shows the state."""

    pin: Pin
    active: Literal["high", "low"] = "high"
    pwm: bool = False


class ButtonConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A button: a short press pauses and resumes, a long one shuts down."""

    pin: Pin
    pull: Literal["up", "down"] = "up"
    via: Literal["gpiozero", "kernel"] = "gpiozero"
    bounce_s: Annotated[float, Meta(ge=0, le=5)] = 0.05
    hold_s: Annotated[float, Meta(gt=0, le=60)] = 5.0
    pause_s: Annotated[float, Meta(gt=0)] | None = None


class HistoryConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is remembered of the readings."""

    hours: Annotated[float, Meta(gt=0, le=168)] = 24.0
    max_bytes: Annotated[int, Meta(ge=65_536)] = 12 << 20
    keep_days: Annotated[int, Meta(ge=0, le=3660)] = 400


class PowerConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where power comes from and when it is too low to work. No sources: a plain supply, always good."""

    thresholds: ThresholdConfig = ThresholdConfig()
    sources: tuple[AnySource, ...] = ()
    policy: PolicyConfig = PolicyConfig()
    sampling: SamplingConfig = SamplingConfig()
    critical: CriticalConfig = CriticalConfig()
    history: HistoryConfig = HistoryConfig()
    led: LedConfig | None = None
    button: ButtonConfig | None = None
    battery_wh: Annotated[float, Meta(gt=0, le=1_000_000)] | None = None

    @property
    def records(self) -> tuple[AnySource, ...]:
        """The sources in force."""
        return self.sources or (PlainConfig(),)

    def absolute(self, base: Path) -> PowerConfig:
        """The same with relative paths taken from `base`."""
        if not self.sources:
            return self
        return msgspec.structs.replace(self, sources=tuple(source.absolute(base) for source in self.sources))

    def check(self) -> None:
        """Raise ConfigError where two values that are each allowed contradict each other."""
        t = self.thresholds
        ordered = [
            ("critical_percent", t.critical_percent, "pause_percent", t.pause_percent),
            ("pause_percent", t.pause_percent, "resume_percent", t.resume_percent),
        ]
        for low_key, low, high_key, high in ordered:
            if not low < high:
                raise ConfigError(
                    f"power.thresholds.{low_key}", low, f"must be below power.thresholds.{high_key} ({high:g})"
                )
        if not t.resume_percent <= t.surplus_percent:
            raise ConfigError(
                "power.thresholds.surplus_percent",
                t.surplus_percent,
                f"must not be below power.thresholds.resume_percent ({t.resume_percent:g})",
            )
        s = self.sampling
        if not s.fast_s <= s.sample_s <= s.slow_s:
            allowed = f"must lie between fast_s ({s.fast_s:g}) and slow_s ({s.slow_s:g})"
            raise ConfigError("power.sampling.sample_s", s.sample_s, allowed)
        self._check_sources()
        self._check_windows()
        self._check_pins()

    def _check_sources(self) -> None:
        names: dict[str, int] = {}
        for number, source in enumerate(self.sources):
            key = f"power.sources[{number}]"
            source.check(key)
            if source.label in names:
                other = f"power.sources[{names[source.label]}] has it already; give each source its own"
                raise ConfigError(f"{key}.name", source.label, other)
            names[source.label] = number

    def _check_pins(self) -> None:
        """A pin has one owner: the second one would read nothing, and the board would stay low for it."""
        named = [
            (f"power.sources[{number}].pin", source.pin)
            for number, source in enumerate(self.sources)
            if isinstance(source, PinConfig)
        ]
        named += [("power.led.pin", self.led.pin)] if self.led else []
        named += [("power.button.pin", self.button.pin)] if self.button else []
        owners: dict[str, str] = {}
        for key, pin in named:
            owner = owners.setdefault(str(pin).upper().removeprefix("GPIO").removeprefix("BCM"), key)
            if owner != key:
                raise ConfigError(key, pin, f"{owner} has it already; a pin has one owner")

    def _check_windows(self) -> None:
        for number, window in enumerate(self.policy.windows):
            key = f"power.policy.windows[{number}]"
            if window.minutes[0] == window.minutes[1]:
                raise ConfigError(f"{key}.to", window.to, "must differ from `from`")
            if (window.at_most is None) == (window.unknown_as is None):
                raise ConfigError(f"{key}.at_most", window.at_most, "give exactly one of at_most and unknown_as")
