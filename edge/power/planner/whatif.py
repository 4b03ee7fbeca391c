"""Replays recorded days with another battery or panel, and computes how many jobs would have ended."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from edge.model import Action
from edge.power.forecast.hours import FULL_PERCENT
from edge.power.forecast.memory import PanelMemory
from edge.power.forecast.predict import expected
from edge.power.planner.lookahead import LookAhead
from edge.power.planner.records import Battery, BoardModel, OpenWork, PlanSettings

SLOT_S = 900.0
_STEPS = 3  # per slot; with fewer steps `gather` would ignore the readings, because they would be too far apart
_EFFICIENCY = 0.95  # of charging, and of discharging
_DARK_S = 3600.0  # a board that went down at `critical` wakes and checks its battery after this time


class Slot(msgspec.Struct, frozen=True):
    """Records of a quarter of an hour."""

    at: float  # begin, in seconds since the epoch
    solar_watts: float | None = None  # None if the board was off or the panel was not measured
    percent: float | None = None  # charge of the battery
    arrived: int = 0  # jobs that were submitted


class Ran(msgspec.Struct, frozen=True):
    """Result of a replay."""

    jobs: int  # number of jobs that ended
    off_h: float = 0.0  # hours in which the board was off
    lowest_percent: float = 100.0


def run(
    slots: Sequence[Slot],
    *,
    battery_wh: float,
    board: BoardModel,
    settings: PlanSettings,
    memory: PanelMemory,
    job_s: float,
    panel: float = 1.0,
    advance: Callable[[int], None] = lambda _: None,
) -> Ran:
    """Replay the days of `slots` and return the result.

    Args:
        slots: the recorded days, oldest first, without gaps.
        battery_wh: size of the battery that is tried.
        board: the draw of the board.
        settings: the owner's settings and the fixed thresholds.
        memory: all that was learned about the panel. It fills in the power that was not measured, or that the panel
            did not give because the battery was full.
        job_s: seconds that a job takes.
        panel: size of the panel that is tried, as a multiple of the recorded one.
        advance: called with the number of slots that were replayed since the last call, to show progress.
    """
    ahead = LookAhead(msgspec.structs.replace(memory, last_hour=0, issued=()))
    first = next((slot.percent for slot in slots if slot.percent is not None), 50.0)
    stored, waiting, ended, off_until, working = first / 100 * battery_wh, 0.0, 0.0, 0.0, False
    off_s, lowest = 0.0, first
    for slot in slots:
        waiting += slot.arrived
        watts = panel * _sun(slot, memory)
        for step in range(_STEPS):
            at, span_s = slot.at + step * SLOT_S / _STEPS, SLOT_S / _STEPS
            percent = stored / battery_wh * 100
            lowest = min(lowest, percent)
            draw = board.off_w
            if at >= off_until:
                ahead.see(at, watts, percent)
                jobs = [OpenWork()] if waiting > 0 else []
                plan = ahead.planned(
                    at,
                    Battery(percent, battery_wh),
                    jobs,
                    board=board,
                    settings=settings,
                    working=working,
                    wall=at,
                )
                pause, resume = settings.pause_percent, settings.resume_percent
                if plan.floor_percent is not None:
                    pause, resume = plan.floor_percent, plan.floor_percent + settings.gap_percent
                working = percent > pause if working else percent >= resume
                draw = board.idle_w
                if percent <= settings.critical_percent:
                    off_until, working = at + _DARK_S, False
                elif plan.action is Action.SLEEP and plan.wake_at is not None:
                    off_until, working = plan.wake_at, False
                elif working and waiting > 0:
                    draw = board.busy_w
                    part = min(waiting, span_s / job_s)
                    waiting, ended = waiting - part, ended + part
            else:
                off_s += span_s
            net = (watts - draw) * span_s / 3600
            stored = min(battery_wh, max(0.0, stored + (net * _EFFICIENCY if net > 0 else net / _EFFICIENCY)))
        advance(1)
    return Ran(round(ended), off_s / 3600, lowest)


def _sun(slot: Slot, memory: PanelMemory) -> float:
    """Return the watts that the panel could give in a slot.

    That is the measured power. It is the usual power if none was measured, and at least that if the battery was full.
    """
    usual = expected(memory, int(slot.at // 3600))
    if slot.solar_watts is None:
        return usual
    full = slot.percent is not None and slot.percent >= FULL_PERCENT
    return max(slot.solar_watts, usual) if full else slot.solar_watts
