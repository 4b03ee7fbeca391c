"""What a reading is about: its unit, how the policy decides by it, and how people read it.

The quantities here are reported by several kinds of source. One that only a single kind reports is declared in the
file of that kind.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from edge.config.power import PowerConfig
from edge.model import Reading, Verdict
from edge.power.inputs.limits import Band


class Criterion(msgspec.Struct, frozen=True, kw_only=True):
    """How the policy decides by a quantity. None: as `power.policy` says for all of them."""

    band: Band | None = None
    low_samples: int | None = None
    critical_samples: int | None = None
    unknown_samples: int | None = None
    good_samples: int | None = None
    resume_after_s: float | None = None
    only_claims: bool = False  # can report surplus, and never makes power worse than normal
    claims_surplus: bool = True  # a surplus reading means spare power, not only a good state
    vetoes_surplus: bool = False  # a normal reading forbids surplus, whichever quantity reports it
    holds_s: float | None = None  # a value is as good as new for so long, where its device tells of changes only


class Quantity(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that sources report."""

    what: str
    unit: str = ""
    criterion: Criterion | None = None  # None: it is shown and decides nothing
    decimals: int = 0
    words: Callable[[Reading], str] | None = None  # says a known value; None: name, number and unit
    recovery: str = ""  # what has to happen when it is bad; empty: it is good
    ending: Callable[[Reading], str] | None = None  # what would end a good state, or an empty string
    summary: bool = False  # named in the reason of a normal state
    daily: bool = True  # its range is kept in the summary of a day

    def text(self, reading: Reading) -> str:
        """A known value in words."""
        if self.words is not None:
            return self.words(reading)
        return f"{self.what.replace('_', ' ')} {reading.value:.{self.decimals}f} {reading.unit}".strip()

    def decides(self, criterion: Criterion) -> Quantity:
        """The same quantity with another criterion."""
        return msgspec.structs.replace(self, criterion=criterion)


#: Believed with the first sample: an edge of a pin, or the board's own detector.
AT_ONCE = Criterion(low_samples=1, unknown_samples=1)


def charge(power: PowerConfig) -> Quantity:
    """Charge of a battery in percent, decided by `power.thresholds`."""
    limits = power.thresholds
    band = Band(limits.pause_percent, limits.resume_percent, limits.critical_percent, limits.surplus_percent)
    return Quantity(what="charge", unit="%", criterion=Criterion(band=band), summary=True)


def supply(power: PowerConfig, *, at_once: bool = False, claims_surplus: bool | None = None) -> Quantity:
    """Power from outside: 1 present, 0 lost."""
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
    """1 while the board's supply is under about 4.63 V."""
    return Quantity(
        what="undervoltage",
        criterion=msgspec.structs.replace(AT_ONCE, resume_after_s=power.policy.undervoltage_clear_s),
        words=lambda reading: "undervoltage" if reading.value else "no undervoltage",
        recovery="no undervoltage",
        ending=lambda _: "undervoltage",
    )


def solar_watts(power: PowerConfig) -> Quantity:
    """Watts from the panels; they claim surplus from `power.policy.surplus_watts` on, and never object."""
    watts = power.policy.surplus_watts
    # Only the upper edge matters: no sun is no objection while the battery is good.
    criterion = None if watts is None else Criterion(band=Band(-2.0, -1.0, surplus=watts), only_claims=True)
    return Quantity(what="solar_watts", unit="W", criterion=criterion)


def standard(power: PowerConfig) -> tuple[Quantity, ...]:
    """The quantities that any source may report without declaring them."""
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
#: What the board draws. Watts beside amps of the same source are booked to the jobs that run.
WATTS = Quantity(what="watts", unit="W")
#: Current and power out of the battery, negative while it is charged. Then they are not the board's draw.
BATTERY_AMPS = Quantity(what="battery_amps", unit="A", decimals=1)
BATTERY_WATTS = Quantity(what="battery_watts", unit="W")
RUNTIME = Quantity(what="runtime", unit="s")
LOW_BATTERY = Quantity(
    what="low_battery",
    criterion=Criterion(),
    words=lambda reading: f"{reading.source} says battery low" if reading.value else "battery not low",
    recovery="the battery is no longer low",
)
#: What a charger does with the battery; the reason names it.
PHASE = Quantity(
    what="phase",
    criterion=Criterion(),
    words=lambda reading: f"charger in {reading.reason}",
    recovery="the charger has no fault",
)
#: 1 while the status of a device reports no fault that forbids more work; the reason quotes the status.
CONDITION = Quantity(
    what="condition",
    criterion=Criterion(claims_surplus=False, vetoes_surplus=True),
    words=lambda reading: f"{reading.source}: {reading.reason or 'nothing to say'}",
    recovery="its status is good",
)
#: 0 while the battery is not discharged. Then low charge or low volts of the same source alone are not critical.
DISCHARGING = Quantity(what="discharging", words=lambda reading: "discharging" if reading.value else "not discharging")
#: Reported by a source that cannot be read at all, in place of its quantities; absent while it can be read.
SOURCE = Quantity(
    what="source",
    criterion=Criterion(),
    words=lambda reading: f"{reading.source} can be read",
    recovery="it can be read",
    daily=False,
)
