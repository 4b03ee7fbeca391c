"""Records that a plan is made from: battery, board, open jobs and settings."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from edge.model import Power


class SleepWhen(StrEnum):
    """When a board that can wake by itself may go down to sleep."""

    NEVER = "never"
    LOW = "low"  # while there is no power for the jobs that wait
    IDLE = "idle"  # also while no job waits


class Battery(msgspec.Struct, frozen=True):
    """The charge of the battery, as the policy accepted it, and its size."""

    percent: float
    capacity_wh: float  # of the full battery

    @property
    def stored_wh(self) -> float:
        """Stored energy in watt-hours."""
        return self.percent / 100 * self.capacity_wh


class BoardModel(msgspec.Struct, frozen=True):
    """The draw of the board in each state. The defaults are published values of a Raspberry Pi 3B (1.2 W idle)."""

    idle_w: float = 1.2
    busy_w: float = 2.7  # draw of the whole board while one job runs
    off_w: float = 0.05
    boot_s: float = 90.0  # time from power-on to the first job
    boot_w: float = 3.0


class OpenWork(msgspec.Struct, frozen=True):
    """Open jobs of one kind. A plan needs only their power class; how long they take does not change it."""

    power: Power = Power.NORMAL


class PlanSettings(msgspec.Struct, frozen=True):
    """The owner's settings, and the fixed thresholds that limit each plan."""

    sleep: SleepWhen = SleepWhen.NEVER
    can_wake: bool = False  # the board has a wake alarm, or a UPS switches its power back on
    critical_percent: float = 10.0
    pause_percent: float = 30.0
    resume_percent: float = 45.0  # `plan` does not read it; `whatif` uses it while a plan has no floor
    surplus_percent: float = 90.0
    reserve_percent: float = 3.0  # always kept above critical, whatever the forecast is; the sum is the hard floor
    gap_percent: float = 3.0  # work resumes only this far above the floor; the policy has the same gap
    least_sleep_s: float = 900.0  # shortest planned sleep, although a shorter one may save the energy of a boot
    nap_s: float = 5400.0  # length of a sleep when there is power but no job
    longest_sleep_s: float = 6 * 3600.0  # the board is awake again after this time at the latest
    batch_s: float = 1800.0  # after a lack of energy the board wakes only when there is enough for this time of work
    plan_s: float = 900.0  # validity of a plan
    min_days: int = 7  # a forecast is used once it was learned from at least this number of days

    @property
    def hard_floor_percent(self) -> float:
        """Charge at which work always stops. No forecast lowers it."""
        return min(self.pause_percent, self.critical_percent + self.reserve_percent)
