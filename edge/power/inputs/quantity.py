"""Describes the quantities that sources report: unit, effect on the policy's decision, and text for people.

Several kinds of source report the quantities of this module. A quantity that only one kind reports is declared in the
file of that kind.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from edge.config.power import PowerConfig
from edge.model import Reading, Verdict
from edge.power.inputs.limits import Band


class Criterion(msgspec.Struct, frozen=True, kw_only=True):
    """How the policy judges the readings of a quantity.

    If a number of samples or `resume_after_s` is None, the value of the section `power.policy` is used.
    """

    band: Band | None = None  # if None, the verdicts that the source gives are used
    low_samples: int | None = None
    critical_samples: int | None = None
    unknown_samples: int | None = None
    good_samples: int | None = None
    resume_after_s: float | None = None
    only_claims: bool = False  # True if it can report surplus, but never makes power worse than normal
    claims_surplus: bool = True  # True if a surplus reading means spare power, not only that the state is good
    vetoes_surplus: bool = False  # True if a normal reading forbids surplus, even if other quantities report it
    holds_s: float | None = None  # age up to which a value counts as new, for a device that reports only changes


class Quantity(msgspec.Struct, frozen=True, kw_only=True):
    """One quantity that sources report, such as the charge of a battery."""

    what: str  # the name in readings
    unit: str = ""
    criterion: Criterion | None = None  # if None, the quantity is only shown and has no effect on the decision
    decimals: int = 0
    words: Callable[[Reading], str] | None = None  # returns the text of a known value; if None: name, number and unit
    recovery: str = ""  # what must happen before a bad state ends; if empty, "NAME is good"
    ending: Callable[[Reading], str] | None = None  # returns what would end a good state, or ""
    summary: bool = False  # True if the reason of a normal state names this quantity
    daily: bool = True  # True if the summary of a day has its range

    def text(self, reading: Reading) -> str:
        """Return a known value in words."""
        if self.words is not None:
            return self.words(reading)
        return f"{self.what.replace('_', ' ')} {reading.value:.{self.decimals}f} {reading.unit}".strip()

    def with_criterion(self, criterion: Criterion) -> Quantity:
        """Return the same quantity with another criterion."""
        return msgspec.structs.replace(self, criterion=criterion)


#: For values that count from the first sample on: an edge of a pin, or the board's own detector.
AT_ONCE = Criterion(low_samples=1, unknown_samples=1)


def charge(power: PowerConfig) -> Quantity:
    """Return the quantity `charge`: percent of a battery, judged by `power.thresholds`."""
    limits = power.thresholds
    band = Band(limits.pause_percent, limits.resume_percent, limits.critical_percent, limits.surplus_percent)
    return Quantity(what="charge", unit="%", criterion=Criterion(band=band), summary=True)


def supply(power: PowerConfig, *, at_once: bool = False, claims_surplus: bool | None = None) -> Quantity:
    """Return the quantity `supply`: 1 while there is power from outside, 0 while it is lost.

    Args:
        power: the section `power` of `edge.yaml`.
        at_once: True if the first sample counts, as for a pin.
        claims_surplus: True if a supply means spare power; None stands for `power.policy.surplus_on_supply`.
    """
    claims = power.policy.surplus_on_supply if claims_surplus is None else claims_surplus
    criterion = Criterion(claims_surplus=claims, vetoes_surplus=True)
    if at_once:
        criterion = msgspec.structs.replace(AT_ONCE, claims_surplus=claims, vetoes_surplus=True)
    return Quantity(
        what="supply",
        criterion=criterion,
        words=_supply_words,
        recovery="the supply is back",
        ending=lambda reading: "the supply is lost" if reading.value else "",
        summary=True,
    )


def undervoltage(power: PowerConfig) -> Quantity:
    """Return the quantity `undervoltage`: 1 while the board's supply is under about 4.63 V."""
    return Quantity(
        what="undervoltage",
        criterion=msgspec.structs.replace(AT_ONCE, resume_after_s=power.policy.undervoltage_clear_s),
        words=lambda reading: "undervoltage" if reading.value else "no undervoltage",
        recovery="no undervoltage",
        ending=lambda _: "undervoltage",
    )


def solar_watts(power: PowerConfig) -> Quantity:
    """Return the quantity `solar_watts`: watts of the panels.

    They report surplus from `power.policy.surplus_watts` on, and never make power worse than normal.
    """
    watts = power.policy.surplus_watts
    # Only the limit for surplus matters: a lack of sun is not a reason to pause while the battery is good.
    criterion = None if watts is None else Criterion(band=Band(-2.0, -1.0, surplus=watts), only_claims=True)
    return Quantity(what="solar_watts", unit="W", criterion=criterion)


def standard(power: PowerConfig) -> tuple[Quantity, ...]:
    """Return the quantities that any source may report without declaring them."""
    return (
        charge(power), supply(power), undervoltage(power), solar_watts(power), LOW_BATTERY, PHASE, CONDITION,
        DISCHARGING, SOURCE, VOLTS, AMPS, WATTS, BATTERY_AMPS, BATTERY_WATTS, RUNTIME,
    )  # fmt: skip


def _supply_words(reading: Reading) -> str:
    if reading.reason and reading.verdict is Verdict.SURPLUS:
        return reading.reason
    return "supply present" if reading.value else "supply lost: on battery"


VOLTS = Quantity(what="volts", unit="V", decimals=2, summary=True)
AMPS = Quantity(what="amps", unit="A", decimals=1)
#: Power that the board draws. If the same source also reports `amps`, these watts are booked to the jobs that run.
WATTS = Quantity(what="watts", unit="W")
#: Current and power out of the battery. They are negative while the battery is charged, and then do not measure the
#: power that the board draws.
BATTERY_AMPS = Quantity(what="battery_amps", unit="A", decimals=1)
BATTERY_WATTS = Quantity(what="battery_watts", unit="W")
RUNTIME = Quantity(what="runtime", unit="s")
LOW_BATTERY = Quantity(
    what="low_battery",
    criterion=Criterion(),
    words=lambda reading: f"{reading.source} reports a low battery" if reading.value else "battery not low",
    recovery="the battery is no longer low",
)
#: The phase of a charger. The `reason` of the reading names it, such as bulk or float.
PHASE = Quantity(
    what="phase",
    criterion=Criterion(),
    words=lambda reading: f"charger in {reading.reason}",
    recovery="the charger has no fault",
)
#: 1 while the status of a device reports no fault that forbids surplus. The `reason` of the reading quotes the status.
CONDITION = Quantity(
    what="condition",
    criterion=Criterion(claims_surplus=False, vetoes_surplus=True),
    words=lambda reading: f"{reading.source}: {reading.reason or 'no status text'}",
    recovery="its status is good",
)
#: 1 while the battery is being discharged, else 0. At 0, low charge or low volts of the same source are not critical.
DISCHARGING = Quantity(what="discharging", words=lambda reading: "discharging" if reading.value else "not discharging")
#: A source that cannot be read at all reports only this quantity. A source that can be read does not report it.
SOURCE = Quantity(
    what="source",
    criterion=Criterion(),
    words=lambda reading: f"{reading.source} can be read",
    recovery="it can be read",
    daily=False,
)
