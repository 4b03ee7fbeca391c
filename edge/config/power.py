"""The section `power` of `edge.yaml`: which sources the governor reads, how it decides, and what it does then."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from edge.config.about import about
from edge.config.forecast import ForecastConfig
from edge.config.pins import ALLOWED, Pin, gpio_number
from edge.config.sleep import SleepConfig
from edge.config.source import SourceConfig, Unknown
from edge.config.times import TimeOfDay, check_time, minute_of
from edge.core.errors import ConfigError

Percent = Annotated[float, Meta(ge=0, le=100)]
Samples = Annotated[int, Meta(ge=1, le=100)]
Span = Annotated[float, Meta(ge=0, le=86_400)]
Period = Annotated[float, Meta(ge=0.1, le=3600)]
ModuleName = Annotated[
    str,
    Meta(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*\Z", description="the name of a Python module, such as tasks.solve"),
]


class ThresholdConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Charge of the battery at which the state changes, in percent; critical < pause < resume <= surplus."""

    critical_percent: Annotated[Percent, about("At or below: stop everything and go down cleanly.")] = 10.0
    pause_percent: Annotated[Percent, about("At or below: only jobs of class `always` start.")] = 30.0
    resume_percent: Annotated[
        Percent, about("At or above: work continues. The gap to pause keeps it from flapping.")
    ] = 45.0
    surplus_percent: Annotated[Percent, about("At or above: jobs of class `surplus` start too.")] = 90.0


class WindowConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"from_": "from"}, kw_only=True):
    """A time of day that limits the state, or says what an unknown source counts as."""

    from_: Annotated[TimeOfDay, about("Begins at this time of the board's zone.", example="22:00")]
    to: Annotated[TimeOfDay, about("Ends at this time; a window may go over midnight.", example="06:00")]
    at_most: Annotated[Literal["normal", "low"] | None, about("The state is not better than this.", example="low")] = (
        None
    )
    unknown_as: Annotated[Literal["normal"] | None, about("In place of at_most: what an unknown source counts as.")] = (
        None
    )

    @property
    def minutes(self) -> tuple[int, int]:
        """(first, end) as minutes of the day; the window goes over midnight if first > end."""
        return minute_of(self.from_), minute_of(self.to)

    def check(self, key: str) -> None:
        """Raise ConfigError if a time is not valid, or if not exactly one of `at_most` and `unknown_as` is given."""
        check_time(f"{key}.from", self.from_)
        check_time(f"{key}.to", self.to)
        if self.minutes[0] == self.minutes[1]:
            raise ConfigError(f"{key}.to", self.to, "must differ from `from`")
        if (self.at_most is None) == (self.unknown_as is None):
            raise ConfigError(f"{key}.at_most", self.at_most, "give exactly one of at_most and unknown_as")


class PolicyConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How readings become a state."""

    low_samples: Annotated[Samples, about("Samples in a row before the state changes, 1 to 100.")] = 3
    critical_samples: Samples = 2
    unknown_samples: Samples = 3
    good_samples: Samples = 3
    resume_after_s: Annotated[Span, about("How long power must be good before work continues.")] = 300.0
    undervoltage_clear_s: Annotated[Span, about("How long the board's supply must be without undervoltage.")] = 60.0
    max_rises_per_hour: Annotated[
        int,
        Meta(ge=1, le=1000),
        about("The state rises at most this often in an hour. Otherwise a panel at dusk would wear out the card."),
    ] = 6
    unknown: Annotated[
        Unknown, about("What a source that cannot be read counts as: low, stop (nothing runs) or normal.")
    ] = "low"
    surplus_watts: Annotated[
        Annotated[float, Meta(gt=0)] | None,
        about("Solar power at which surplus begins. null: the charge alone decides."),
    ] = None
    surplus_on_supply: Annotated[
        bool,
        about("true: power from outside is surplus by itself, as on a wall plug; the battery need not be full."),
    ] = False
    windows: Annotated[
        tuple[WindowConfig, ...],
        about(
            'Times of day, in quotes: `{from: "22:00", to: "06:00", at_most: low}` limits the state (normal or low); '
            '`{from: "09:00", to: "16:00", unknown_as: normal}` trusts the sun while a source is unknown.'
        ),
    ] = ()


class SamplingConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How often the sources are read. A change of a GPIO pin takes effect at once, without these intervals."""

    sample_s: Period = 10.0
    fast_s: Period = 2.0
    slow_s: Period = 30.0
    stable_after_s: Span = 600.0


class CriticalConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the board does at critical power."""

    action: Annotated[
        Literal["poweroff", "none"], about("poweroff: stop all work and power off; none: only stop all work.")
    ] = "poweroff"
    dry_run: Annotated[bool, about("true: only say in the log what would be done.")] = False
    grace_s: Annotated[float, Meta(ge=0, le=600), about("Time for the running job to save its progress, 0 to 600.")] = (
        15.0
    )
    stop_units: Annotated[
        tuple[str, ...], about("systemd units that are stopped in this order before the board goes down.")
    ] = (
        "edge-worker.service",
        "edge-gateway.service",
        "rabbitmq-server.service",
    )
    wake_after_s: Annotated[
        Annotated[float, Meta(ge=60, le=604_800)] | None,
        about(
            "Wake the board after this long to read the sources again, if its clock has an alarm, 60 to 604800. null: "
            "never."
        ),
    ] = 3600.0
    wakealarm: Path = Path("/sys/class/rtc/rtc0/wakealarm")
    systemctl: str = "systemctl"


class LedConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An LED that shows the state."""

    pin: Annotated[Pin, about("the GPIO", example=17)]
    active: Literal["high", "low"] = "high"
    pwm: bool = False


class ButtonConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A button: a short press pauses and resumes; a long press shuts the board down or approves a pairing request."""

    pin: Annotated[Pin, about("the GPIO", example=27)]
    pull: Literal["up", "down"] = "up"
    via: Literal["gpiozero", "kernel"] = "gpiozero"
    bounce_s: Annotated[float, Meta(ge=0, le=5)] = 0.05
    hold_s: Annotated[float, Meta(gt=0, le=60)] = 5.0
    pause_s: Annotated[float, Meta(gt=0)] | None = None
    long_press: Literal["shutdown", "pair"] = "shutdown"
    pair_scopes: Annotated[tuple[Literal["submit", "read", "admin"], ...], Meta(min_length=1)] = ("submit",)


class HistoryConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much of the readings is kept."""

    hours: Annotated[float, Meta(gt=0, le=168)] = 24.0
    max_bytes: Annotated[int, Meta(ge=65_536)] = 12 << 20
    keep_days: Annotated[int, Meta(ge=0, le=3660)] = 400


class PowerConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The sources of power, and when power is too low to work. Without sources power counts as always good."""

    thresholds: Annotated[
        ThresholdConfig,
        about("Charge of the battery at which the state changes: critical < pause < resume <= surplus."),
    ] = ThresholdConfig()
    sources: Annotated[
        tuple[SourceConfig, ...],
        about(
            "The sources to read. Empty: power is always good, as from a plain supply. Each source is one item. Only "
            "`kind` must be given (and `pin` or `volts`, if the kind has it); the values below are the defaults."
        ),
    ] = ()
    source_modules: Annotated[
        tuple[ModuleName, ...],
        about(
            "Python modules, next to this file or installed, that declare further kinds of source. An installed "
            "package with an entry point in the group `edge.sources` need not be named."
        ),
    ] = ()
    policy: Annotated[PolicyConfig, about("How readings become a state.")] = PolicyConfig()
    sampling: Annotated[
        SamplingConfig,
        about(
            "How often sources are read: sample_s as a rule, fast_s near a threshold, slow_s when nothing has changed "
            "for stable_after_s."
        ),
    ] = SamplingConfig()
    critical: Annotated[CriticalConfig, about("What the board does at critical power.")] = CriticalConfig()
    sleep: Annotated[
        SleepConfig,
        about("When the board goes down to save power, and when it wakes: docs/how-to/sleep.md."),
    ] = SleepConfig()
    history: Annotated[
        HistoryConfig,
        about("Readings kept for `edge power`: for `hours`, in at most `max_bytes`, and daily sums for `keep_days`."),
    ] = HistoryConfig()
    forecast: Annotated[
        ForecastConfig,
        about("The solar forecast. It needs battery_wh and a source of solar_watts: docs/how-to/solar.md."),
    ] = ForecastConfig()
    led: Annotated[LedConfig | None, about("An LED that shows the state; active is high or low.")] = None
    button: Annotated[
        ButtonConfig | None,
        about(
            "A button. A short press pauses work (for pause_s; null: until the next press). A press of hold_s shuts "
            "the board down; with `long_press: pair` it approves the one open request of `edge pair --button`, with "
            "pair_scopes. pull is up or down."
        ),
    ] = None
    battery_wh: Annotated[
        Annotated[float, Meta(gt=0, le=1_000_000)] | None,
        about(
            "Energy of the full battery in watt-hours. A job waits if jobs of its kind used more energy than is left "
            "above the pause threshold. null: jobs wait for that reason only if a UPS reports its runtime."
        ),
    ] = None

    @property
    def looks_ahead(self) -> bool:
        """True if a plan may lower the thresholds, once the forecast has learned enough about the panel."""
        return self.forecast.enabled and self.battery_wh is not None and bool(self.sources)

    def absolute(self, base: Path) -> PowerConfig:
        """Return this record with relative paths taken from `base`."""
        return msgspec.structs.replace(
            self,
            sources=tuple(source.absolute(base) for source in self.sources),
            forecast=self.forecast.absolute(base),
        )

    def check(self) -> None:
        """Raise ConfigError if two keys contradict each other."""
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
        for number, window in enumerate(self.policy.windows):
            window.check(f"power.policy.windows[{number}]")
        self.forecast.check("power.forecast")
        self.sleep.check(action=self.critical.action)
        self._check_owners()

    def _check_sources(self) -> None:
        names: dict[str, int] = {}
        for number, source in enumerate(self.sources):
            key = f"power.sources[{number}]"
            try:
                source.check(key)
                for field, _, _ in source.owns():
                    getattr(source, field)
            except ConfigError:
                raise
            except Exception as err:  # the code of a kind from another package may raise anything
                why = " ".join(f"{type(err).__name__}: {err}".split())
                raise ConfigError(f"{key}.kind", source.kind, f"its check cannot be used: {why}") from err
            if source.label in names:
                other = f"power.sources[{names[source.label]}] has it already; give each source its own"
                raise ConfigError(f"{key}.name", source.label, other)
            names[source.label] = number

    def _check_owners(self) -> None:
        """Raise ConfigError if two parts use one line or port. The second would read nothing and report low power."""
        owners: dict[tuple[str, str], str] = {}
        for key, value, noun, thing in self._owned():
            owner = owners.setdefault((noun, thing), key)
            if owner != key:
                raise ConfigError(key, value, f"{owner} has it already; a {noun} has one owner")

    def _owned(self) -> Iterator[tuple[str, object, str, str]]:
        """Yield (key, value, noun, name) for each line or port that only one part of a board may use."""
        for number, source in enumerate(self.sources):
            for field, noun, thing in source.owns():
                yield f"power.sources[{number}].{field}", getattr(source, field), noun, thing
        for key, part in (("power.led.pin", self.led), ("power.button.pin", self.button)):
            if part is not None:
                yield key, part.pin, "pin", str(_gpio(key, part.pin))


def _gpio(key: str, pin: int | str) -> int:
    try:
        return gpio_number(pin)
    except ValueError as err:
        raise ConfigError(key, pin, f"expected {ALLOWED}") from err
