"""Says what volts mean by chemistry and number of cells, and finds charge and volts that contradict each other."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from edge.config.about import about
from edge.core.errors import ConfigError
from edge.power.inputs.limits import Band
from edge.power.inputs.quantity import VOLTS, Criterion, Quantity
from edge.power.inputs.source import PowerSourceConfig

Volts = Annotated[float, Meta(gt=0, le=100)]
Chemistry = Literal["li-ion", "lifepo4", "lead-acid"]


class Cell(msgspec.Struct, frozen=True):
    """One cell of a chemistry. All volts are those of a cell at rest, except the limit for surplus."""

    #: Volts at critical, pause, resume and surplus. Surplus is the voltage at which a charger holds the cell.
    limits: tuple[float, float, float, float]
    #: (volts, percent of charge), in rising order.
    curve: tuple[tuple[float, float], ...]
    #: How far the volts may fall below the curve under load, and rise above it while the cell is charged.
    sag_v: float
    rise_v: float


CELLS: dict[Chemistry, Cell] = {
    "li-ion": Cell(
        limits=(3.30, 3.50, 3.70, 4.10),
        curve=((3.30, 0), (3.50, 10), (3.70, 40), (3.90, 70), (4.10, 95), (4.20, 100)),
        sag_v=0.25,
        rise_v=0.10,
    ),
    "lifepo4": Cell(
        limits=(3.00, 3.15, 3.25, 3.45),
        curve=((2.80, 0), (3.00, 5), (3.20, 20), (3.25, 40), (3.30, 70), (3.33, 90), (3.40, 100)),
        sag_v=0.20,
        rise_v=0.15,
    ),
    "lead-acid": Cell(
        limits=(1.90, 1.98, 2.07, 2.25),
        curve=((1.92, 0), (1.98, 25), (2.03, 50), (2.08, 75), (2.12, 100)),
        sag_v=0.15,
        rise_v=0.30,
    ),
}
#: Volts of a battery that can only be a single lithium cell, as the kernel's fuel gauges measure it.
_ONE_CELL = (2.0, 4.5)


class VoltsConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Volts of the whole battery at which the state changes; critical < pause < resume <= surplus."""

    critical: Volts
    pause: Volts
    resume: Volts
    surplus: Volts | None = None


class BatteryConfig(PowerSourceConfig, frozen=True):
    """The keys of a source that measures the volts of a battery. Volts decide only if `cells` or `volts` is set."""

    chemistry: Annotated[
        Chemistry | None, about("li-ion, lifepo4 or lead-acid; null: what the device reports, else li-ion")
    ] = None
    cells: Annotated[
        Annotated[int, Meta(ge=1, le=30)] | None, about("cells in series; null: the volts are only shown")
    ] = None
    volts: Annotated[
        VoltsConfig | None,
        about(
            "voltage limits of the whole battery; use them in place of `cells`",
            example={"critical": 3.3, "pause": 3.5, "resume": 3.7, "surplus": 4.1},
        ),
    ] = None
    charge_tolerance_percent: Annotated[
        float,
        Meta(ge=0, le=100),
        about(
            "if the reported charge and the charge that follows from the volts differ by more percent, the charge "
            "counts as unknown; 0: no comparison"
        ),
    ] = 10.0

    def volts_limits(self, reported: Chemistry | None = None) -> VoltsConfig | None:
        """Return the limits in force, or None if volts are only shown and decide nothing.

        Args:
            reported: the chemistry that the device reports; it counts if none is configured.
        """
        if self.volts or not self.cells:
            return self.volts
        limits = CELLS[self.chemistry or reported or "li-ion"].limits
        critical, pause, resume, surplus = (round(limit * self.cells, 2) for limit in limits)
        return VoltsConfig(critical=critical, pause=pause, resume=resume, surplus=surplus)

    def volts_quantity(self) -> Quantity:
        """Return the quantity `volts` with the limits in force."""
        limits = self.volts_limits()
        if limits is None:
            return VOLTS
        return VOLTS.with_criterion(Criterion(band=Band(limits.pause, limits.resume, limits.critical, limits.surplus)))

    def check(self, key: str) -> None:
        """Raise ConfigError if the limits in `volts` are not in rising order."""
        if not self.volts:
            return
        rising = [("critical", self.volts.critical), ("pause", self.volts.pause), ("resume", self.volts.resume)]
        for (low_key, low), (high_key, high) in pairwise(rising):
            if not low < high:
                raise ConfigError(f"{key}.volts.{low_key}", low, f"must be below {key}.volts.{high_key} ({high:g})")
        if self.volts.surplus is not None and self.volts.surplus < self.volts.resume:
            allowed = f"must not be below {key}.volts.resume ({self.volts.resume:g})"
            raise ConfigError(f"{key}.volts.surplus", self.volts.surplus, allowed)

    def charge_by_volts(
        self, volts: float, *, charging: bool | None = None, reported: Chemistry | None = None
    ) -> tuple[float, float] | None:
        """Return (least, most) percent of charge that `volts` can mean, or None if they cannot be compared.

        They cannot be compared if the number of cells is not known, or if `charge_tolerance_percent` is 0.

        Args:
            volts: volts of the whole battery.
            charging: True while current flows into the battery, False while it does not, None if that is not known.
            reported: the chemistry that the device reports; it counts if none is configured.
        """
        cell = CELLS[self.chemistry or reported or "li-ion"]
        cells = self.cells
        if cells is None and self.volts is not None:
            cells = max(1, round(self.volts.resume / cell.limits[2]))
        elif cells is None and _ONE_CELL[0] <= volts <= _ONE_CELL[1] and cell is not CELLS["lead-acid"]:
            cells = 1
        if cells is None or not self.charge_tolerance_percent:
            return None
        each = volts / cells
        rise_v = cell.rise_v if charging is not False else cell.rise_v / 4
        sag_v = cell.sag_v if charging is not True else cell.sag_v / 4
        return _percent(cell, each - rise_v), _percent(cell, each + sag_v)

    def contradiction(
        self, charge: float, volts: float, *, charging: bool | None = None, reported: Chemistry | None = None
    ) -> str:
        """Return why `charge` and `volts` cannot both be right, with both numbers, or an empty string if they can.

        The arguments are those of `charge_by_volts`; `charge` is in percent.
        """
        meant = self.charge_by_volts(volts, charging=charging, reported=reported)
        if meant is None:
            return ""
        least, most = meant
        if least - self.charge_tolerance_percent <= charge <= most + self.charge_tolerance_percent:
            return ""
        return (
            f"charge {charge:g} % and {volts:g} V contradict each other: "
            f"{volts:g} V mean {least:.0f} to {most:.0f} % ({self.chemistry or reported or 'li-ion'})"
        )


def _percent(cell: Cell, volts: float) -> float:
    """Return the percent of charge that the curve gives for `volts` of one cell at rest."""
    for (low_v, low), (high_v, high) in pairwise(cell.curve):
        if volts < high_v:
            return low + max(0.0, volts - low_v) / (high_v - low_v) * (high - low)
    return 100.0
