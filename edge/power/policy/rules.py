"""The numbers that the policy decides by, taken from `edge.yaml` once."""

from __future__ import annotations

from enum import IntEnum

import msgspec

from edge.config.power import PolicyConfig, PowerConfig
from edge.config.sources import BatteryConfig, DiskConfig, PinConfig, PlainConfig, SimulatedConfig, TemperatureConfig
from edge.model import PowerState


class Level(IntEnum):
    """The states in the order of how much work they allow."""

    CRITICAL = 0  # nothing; the board goes down
    STOPPED = 1  # nothing
    LOW = 2
    NORMAL = 3
    SURPLUS = 4


STATES = {
    Level.CRITICAL: PowerState.CRITICAL,
    Level.STOPPED: PowerState.UNKNOWN,
    Level.LOW: PowerState.LOW,
    Level.NORMAL: PowerState.NORMAL,
    Level.SURPLUS: PowerState.SURPLUS,
}
_UNKNOWN_AS = {"low": Level.LOW, "stop": Level.STOPPED, "normal": Level.NORMAL}


class Band(msgspec.Struct, frozen=True):
    """Limits of one quantity: at or below pause it is low, at or above resume it is good, between nothing changes."""

    pause: float
    resume: float
    critical: float | None = None
    surplus: float | None = None
    worse_above: bool = False  # heat: the limits are upper ones

    def levels(self, value: float) -> tuple[Level, Level]:
        """(falls to, rises to): what `value` pulls a better state down to, and lets a worse one up to."""
        sign = -1.0 if self.worse_above else 1.0
        at, pause, resume = sign * value, sign * self.pause, sign * self.resume
        falls, rises = Level.NORMAL, Level.NORMAL
        if self.surplus is not None:
            leave = self.surplus - (self.surplus - self.pause) / 12  # 90 % is left at 85 %
            falls = Level.SURPLUS if at >= leave else Level.NORMAL
            rises = Level.SURPLUS if at >= self.surplus else Level.NORMAL
        if at < resume:
            rises = Level.LOW
        if at <= pause:
            falls = Level.LOW
        if self.critical is not None:
            if at <= self.critical:
                falls = Level.CRITICAL
            if at <= self.critical + (self.pause - self.critical) / 4:  # 10 % is left at 15 %
                rises = Level.CRITICAL
        return falls, rises


class Rule(msgspec.Struct, frozen=True):
    """How one quantity of one source is taken."""

    band: Band | None = None
    low_samples: int = 3
    critical_samples: int = 2
    unknown_samples: int = 3
    good_samples: int = 3
    resume_after_s: float = 300.0
    unknown: Level = Level.LOW
    only_claims: bool = False  # may say surplus, never objects
    claims_surplus: bool = True  # at surplus it says that there is more than enough, not only that it is well
    vetoes_surplus: bool = False  # at normal it speaks against surplus, whoever claims it


class Window(msgspec.Struct, frozen=True):
    """A time of day, in minutes, over midnight where `first` > `end`."""

    first: int
    end: int
    at_most: Level | None = None
    unknown_as: Level | None = None

    def holds(self, minute: int) -> bool:
        """True inside the window."""
        if self.first < self.end:
            return self.first <= minute < self.end
        return minute >= self.first or minute < self.end


class Rules(msgspec.Struct, frozen=True):
    """Everything the policy needs beside readings and time."""

    by_what: dict[str, Rule]
    by_source: dict[str, Rule]  # "source/what", before `by_what`
    window: Rule
    windows: tuple[Window, ...] = ()
    stale_after_s: float = 30.0
    max_rises_per_hour: int = 6

    def rule(self, source: str, what: str) -> Rule | None:
        """The rule of a quantity, or None where it is shown but decides nothing."""
        # Several batteries of one source are told apart as `source:BAT0`.
        named = self.by_source.get(f"{source.partition(':')[0]}/{what}")
        return named or self.by_what.get(what)


def from_config(config: PowerConfig) -> Rules:
    """The rules that a `power` section means."""
    policy, limits = config.policy, config.thresholds
    base = _base(policy)
    sudden = msgspec.structs.replace(base, low_samples=1, unknown_samples=1)
    by_what = {
        "charge": msgspec.structs.replace(
            base,
            band=Band(limits.pause_percent, limits.resume_percent, limits.critical_percent, limits.surplus_percent),
        ),
        "supply": msgspec.structs.replace(base, claims_surplus=policy.surplus_on_supply, vetoes_surplus=True),
        "low_battery": base,
        "phase": base,
        "clock": base,
        "source": base,  # it cannot be read at all; silent while it can
        "undervoltage": msgspec.structs.replace(sudden, resume_after_s=policy.undervoltage_clear_s),
    }
    if policy.surplus_watts is not None:
        # Only the upper edge matters: no sun is no objection while the battery is good.
        band = Band(-2.0, -1.0, surplus=policy.surplus_watts)
        by_what["solar_watts"] = msgspec.structs.replace(base, band=band, only_claims=True)
    by_source: dict[str, Rule] = {}
    for source in config.records:
        own = dict(by_what)
        match source:
            case BatteryConfig():
                if volts := source.volts_limits:
                    band = Band(volts.pause, volts.resume, volts.critical, volts.surplus)
                    own["volts"] = msgspec.structs.replace(base, band=band)
            case TemperatureConfig():
                band = Band(source.pause_c, source.resume_c, worse_above=True)
                own["temperature"] = msgspec.structs.replace(base, band=band, resume_after_s=0.0)
            case DiskConfig():
                band = Band(source.pause_free_mb, source.resume_free_mb)
                own["disk"] = msgspec.structs.replace(base, band=band, resume_after_s=0.0)
            case PinConfig():
                # Debounced and edge-driven: a pin is believed at once.
                own["supply"] = msgspec.structs.replace(own["supply"], low_samples=1, unknown_samples=1)
                own["low_battery"] = sudden
            case PlainConfig():
                own["supply"] = msgspec.structs.replace(own["supply"], claims_surplus=True, good_samples=1)
            case SimulatedConfig():
                played = msgspec.structs.replace(sudden, critical_samples=1, good_samples=1)
                own["simulated"] = msgspec.structs.replace(played, resume_after_s=source.resume_after_s)
            case _:
                pass
        for what, rule in own.items():
            if source.unknown is not None:
                rule = msgspec.structs.replace(rule, unknown=_UNKNOWN_AS[source.unknown])  # noqa: PLW2901
            if rule != by_what.get(what):
                by_source[f"{source.label}/{what}"] = rule
    return Rules(
        by_what,
        by_source,
        window=msgspec.structs.replace(sudden, good_samples=1, claims_surplus=False, vetoes_surplus=True),
        windows=tuple(_window(w.minutes, w.at_most, w.unknown_as) for w in policy.windows),
        stale_after_s=max(3 * config.sampling.sample_s, 1.5 * config.sampling.slow_s),
        max_rises_per_hour=policy.max_rises_per_hour,
    )


def _base(policy: PolicyConfig) -> Rule:
    return Rule(
        low_samples=policy.low_samples,
        critical_samples=policy.critical_samples,
        # Never slower than low itself: unknown must not allow more work than low would.
        unknown_samples=min(policy.unknown_samples, policy.low_samples),
        good_samples=policy.good_samples,
        resume_after_s=policy.resume_after_s,
        unknown=_UNKNOWN_AS[policy.unknown],
    )


def _window(minutes: tuple[int, int], at_most: str | None, unknown_as: str | None) -> Window:
    return Window(
        *minutes,
        at_most=Level[at_most.upper()] if at_most else None,
        unknown_as=Level[unknown_as.upper()] if unknown_as else None,
    )
