"""What jobs took from the supply, summed up by day, kind and submitter, and the statement of a month."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from edge.model.job import Energy, Metering


class Took(msgspec.Struct, array_like=True):
    """Sums over receipts; it grows."""

    jobs: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    measured_joules: float = 0.0
    estimated_joules: float = 0.0
    shared_joules: float = 0.0  # of those estimated: of bodies in threads, whose board at rest is booked as idle
    sun_joules: float = 0.0
    battery_joules: float = 0.0
    mains_joules: float = 0.0

    @property
    def joules(self) -> float:
        """All of it."""
        return self.measured_joules + self.estimated_joules

    def add(self, receipt: Energy) -> None:
        """One more receipt."""
        measured = receipt.metering is Metering.MEASURED
        self.plus(
            Took(
                1,
                receipt.seconds,
                receipt.cpu_seconds,
                receipt.joules if measured else 0.0,
                0.0 if measured else receipt.joules,
                receipt.joules if receipt.shared and not measured else 0.0,
                receipt.sun_joules,
                receipt.battery_joules,
                receipt.mains_joules,
            )
        )

    def plus(self, other: Took) -> None:
        """Add the sums of another one."""
        for name in self.__struct_fields__:
            setattr(self, name, round(getattr(self, name) + getattr(other, name), 3))


#: Local date -> kind -> submitter (empty: it did not come through the gateway) -> sums.
DayReceipts: TypeAlias = dict[str, dict[str, dict[str, Took]]]


class StatementLine(msgspec.Struct, frozen=True, omit_defaults=True):
    """One day, kind or submitter of a statement, or all of it. Energies are in watt-hours."""

    name: str
    jobs: int = 0
    seconds: float = 0.0  # that bodies ran
    jobs_wh: float = 0.0  # what the jobs took
    measured_wh: float = 0.0  # of that, by a power monitor
    sun_wh: float = 0.0  # of `jobs_wh`, as far as it was known where it came from
    battery_wh: float = 0.0
    mains_wh: float = 0.0
    idle_wh: float | None = None  # the board without jobs; none: of a kind or submitter, or nobody knows
    board_wh: float | None = None  # what a power monitor measured of the board; none: nothing measured it
    board_sun_wh: float | None = None  # of `board_wh`
    board_battery_wh: float | None = None
    board_mains_wh: float | None = None
    left_percent: float | None = None  # of `board_wh`: what neither receipts nor idle explain


class Statement(msgspec.Struct, frozen=True):
    """`edge power statement`: a month of receipts."""

    month: str  # YYYY-MM
    days: tuple[StatementLine, ...]
    kinds: tuple[StatementLine, ...]
    submitters: tuple[StatementLine, ...]
    total: StatementLine
