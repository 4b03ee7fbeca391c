"""The planner: battery + forecast + open jobs + time -> how low the battery may go, and work, idle or sleep."""

from __future__ import annotations

from collections.abc import Sequence

from edge.model import Action, Plan, Power
from edge.power.forecast.outlook import Outlook
from edge.power.planner.records import Battery, BoardModel, OpenWork, PlanSettings, SleepWhen


def plan(
    now: float | None,
    battery: Battery | None,
    outlook: Outlook | None,
    jobs: Sequence[OpenWork],
    *,
    board: BoardModel,
    settings: PlanSettings,
    wall: float = 0.0,
) -> Plan:
    """The plan for the next minutes.

    Args:
        now: seconds since the epoch; None where the clock is not trusted.
        battery: what is stored; None where it is not known, or its size is not.
        outlook: what the panel is expected to give; None without one.
        jobs: what waits or runs.
        board: what the board draws.
        settings: what the owner allows.
        wall: the untrusted clock, by which a plan without a floor ends.
    """
    fixed = _without(now, battery, outlook, settings)
    if fixed or now is None or battery is None or outlook is None:
        return Plan(Action.WORK if jobs else Action.IDLE, fixed, (wall if now is None else now) + settings.plan_s)
    floor = settings.hard_floor_percent
    sun_at = _sun_at(now, outlook, board.idle_w)
    night_wh = (sun_at - now) / 3600 * (board.off_w if _may_sleep(settings) else board.idle_w)
    budget_wh = max(0.0, battery.stored_wh - floor / 100 * battery.capacity_wh - night_wh)
    urgent = any(job.power is Power.ALWAYS for job in jobs)
    action, reason = Action.IDLE, "no job waits"
    if jobs and (battery.percent > floor or urgent):
        action, reason = Action.WORK, f"{battery.percent:.0f} % is above the floor of {floor:.0f} %"
    elif jobs:
        action, reason = Action.IDLE, f"{battery.percent:.0f} % is at the floor of {floor:.0f} %"
    wake_at = min(sun_at, now + settings.longest_sleep_s)
    sleeps = action is Action.IDLE and _may_sleep(settings) and wake_at - now >= settings.least_sleep_s
    if sleeps and (jobs or settings.sleep is SleepWhen.IDLE):
        action = Action.SLEEP
    return Plan(
        action,
        reason,
        now + settings.plan_s,
        floor_percent=floor,
        wake_at=wake_at if action is Action.SLEEP else None,
        budget_wh=round(budget_wh, 2),
        sun_at=sun_at,
    )


def _without(now: float | None, battery: Battery | None, outlook: Outlook | None, settings: PlanSettings) -> str:
    """Why the fixed thresholds decide, or an empty string."""
    if now is None:
        return "the clock is not trusted: the fixed thresholds decide"
    if battery is None:
        return "what the battery holds is not known: the fixed thresholds decide"
    if outlook is None or not outlook.start <= now < outlook.end:
        return "there is no forecast: the fixed thresholds decide"
    if outlook.days_learned < settings.min_days:
        return f"{outlook.days_learned} of {settings.min_days} days are learned: the fixed thresholds decide"
    return ""


def _may_sleep(settings: PlanSettings) -> bool:
    return settings.can_wake and settings.sleep is not SleepWhen.NEVER


def _sun_at(now: float, outlook: Outlook, watts: float) -> float:
    """When the panel is expected to give `watts`; the end of the outlook where it is not."""
    for number, step in enumerate(outlook.steps):
        at = outlook.start + number * outlook.step_s
        if step.mid >= watts and at + outlook.step_s > now:
            return max(now, at)
    return outlook.end
