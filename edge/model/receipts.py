"""Sums of the energy that jobs used, by day, kind and submitter, and the statement of a month."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from edge.model.job import Energy, Metering


class Took(msgspec.Struct, array_like=True):
    """Running sums over receipts, rounded to three digits. `add` and `plus` change the record itself."""

    jobs: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    measured_joules: float = 0.0
    estimated_joules: float = 0.0
    shared_joules: float = 0.0  # part of `estimated_joules` by bodies in threads; the board at rest is not in it
    sun_joules: float = 0.0
    battery_joules: float = 0.0
    mains_joules: float = 0.0

    @property
    def joules(self) -> float:
        """All joules, measured and estimated."""
        return self.measured_joules + self.estimated_joules

    def add(self, receipt: Energy) -> None:
        """Add one receipt."""
        # The gateway calls this for each job, and most receipts have no origin. So only the fields that change are set.
        self.jobs += 1
        self.seconds = round(self.seconds + receipt.seconds, 3)
        self.cpu_seconds = round(self.cpu_seconds + receipt.cpu_seconds, 3)
        if receipt.metering is Metering.MEASURED:
            self.measured_joules = round(self.measured_joules + receipt.joules, 3)
        else:
            self.estimated_joules = round(self.estimated_joules + receipt.joules, 3)
            if receipt.shared:
                self.shared_joules = round(self.shared_joules + receipt.joules, 3)
        if receipt.sun_joules or receipt.battery_joules or receipt.mains_joules:
            self.sun_joules = round(self.sun_joules + receipt.sun_joules, 3)
            self.battery_joules = round(self.battery_joules + receipt.battery_joules, 3)
            self.mains_joules = round(self.mains_joules + receipt.mains_joules, 3)

    def plus(self, other: Took) -> None:
        """Add the sums of another record."""
        for name in self.__struct_fields__:
            setattr(self, name, round(getattr(self, name) + getattr(other, name), 3))


#: Sums by local date, kind and submitter. The submitter is empty for jobs that did not come through the gateway.
DayReceipts: TypeAlias = dict[str, dict[str, dict[str, Took]]]


class StatementLine(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line of a statement: a day, a kind, a submitter or the total. Energies are in watt-hours."""

    name: str
    jobs: int = 0
    seconds: float = 0.0  # running time of bodies
    jobs_wh: float = 0.0  # energy that the jobs used
    measured_wh: float = 0.0  # part of `jobs_wh` that a power monitor measured
    sun_wh: float = 0.0  # part of `jobs_wh` from the sun, as far as the origin was known
    battery_wh: float = 0.0
    mains_wh: float = 0.0
    idle_wh: float | None = None  # energy of the board without jobs; None for a kind or submitter, or if not known
    board_wh: float | None = None  # energy of the whole board by a power monitor; None if nothing measured it
    board_sun_wh: float | None = None  # part of `board_wh` from the sun
    board_battery_wh: float | None = None
    board_mains_wh: float | None = None
    left_percent: float | None = None  # share of `board_wh` that neither receipts nor idle energy explain


class Statement(msgspec.Struct, frozen=True):
    """`edge power statement`: a month of receipts."""

    month: str  # YYYY-MM
    days: tuple[StatementLine, ...]
    kinds: tuple[StatementLine, ...]
    submitters: tuple[StatementLine, ...]
    total: StatementLine
    unreadable: tuple[str, ...] = ()  # damaged files of the month that are left out, such as `days/2026-11-04.json`
