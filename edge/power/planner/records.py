"""What a plan is made from."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from edge.model import Power


class SleepWhen(StrEnum):
    """When a board that can wake by itself may go down."""

    NEVER = "never"
    LOW = "low"  # while jobs wait that there is no power for
    IDLE = "idle"  # and while nothing waits


class Battery(msgspec.Struct, frozen=True):
    """What is stored now, as the policy believes it."""

    percent: float
    capacity_wh: float  # of the full battery

    @property
    def stored_wh(self) -> float:
        """What is in it."""
        return self.percent / 100 * self.capacity_wh


class BoardModel(msgspec.Struct, frozen=True):
    """What the board draws. The defaults are those of a Raspberry Pi 3B as published (1.2 W idle)."""

    idle_w: float = 1.2
    busy_w: float = 2.7  # with one job running, the board included
    off_w: float = 0.05
    boot_s: float = 90.0  # from power-on to the first job
    boot_w: float = 3.0


class OpenWork(msgspec.Struct, frozen=True):
    """Open jobs of one kind. A plan asks only for their power class: how long they take does not change it."""

    power: Power = Power.NORMAL


class PlanSettings(msgspec.Struct, frozen=True):
    """What the owner allows, and the fixed thresholds that the planner stays within."""

    sleep: SleepWhen = SleepWhen.NEVER
    can_wake: bool = False  # an alarm, or a UPS that switches power back, was seen to work
    critical_percent: float = 10.0
    pause_percent: float = 30.0
    resume_percent: float = 45.0  # not read by `plan`; `whatif` goes by it while there is no floor
    surplus_percent: float = 90.0
    reserve_percent: float = 3.0  # kept above critical, whatever the forecast says: the hard floor
    gap_percent: float = 3.0  # above the floor before work goes on, as the policy has it
    least_sleep_s: float = 900.0  # no plan sleeps for less, although a boot may be paid for sooner
    nap_s: float = 5400.0  # length of a sleep when there is power but no job
    longest_sleep_s: float = 6 * 3600.0  # the board is awake again after this time at the latest
    batch_s: float = 1800.0  # it wakes only when there is energy for this many seconds of work
    plan_s: float = 900.0  # validity of a plan
    min_days: int = 7  # days of history from which on a forecast is trusted

    @property
    def hard_floor_percent(self) -> float:
        """Work never runs the battery below this."""
        return min(self.pause_percent, self.critical_percent + self.reserve_percent)
