"""The planner: battery + forecast + open jobs + time -> how low the battery may go, and work, idle or sleep.

Stored energy does not gain by waiting, but an idle board spends `idle_w` all the time. So work is done as soon as there
is energy for it, and the board sleeps as soon as there is none. Only what the board needs to sleep until the sun is
back stays in the battery, above a floor that no forecast moves.
"""

from __future__ import annotations

from collections.abc import Sequence

from edge.core.text import duration
from edge.model import Action, Plan, Power
from edge.power.forecast.outlook import Outlook
from edge.power.planner import path
from edge.power.planner.records import Battery, BoardModel, OpenWork, PlanSettings, SleepWhen


def plan(
    now: float | None,
    battery: Battery | None,
    outlook: Outlook | None,
    jobs: Sequence[OpenWork] | None,
    *,
    board: BoardModel,
    settings: PlanSettings,
    working: bool = False,
    wall: float = 0.0,
) -> Plan:
    """Return the plan for the next minutes.

    Args:
        now: seconds since the epoch; None where the clock is not trusted.
        battery: what is stored; None where it is not known, or its size is not.
        outlook: what the panel is expected to give; None without one.
        jobs: what waits or runs; None where nobody knows, and then the board does not sleep.
        board: what the board draws.
        settings: what the owner allows.
        working: True if work is allowed now; then it continues down to the floor. Otherwise it begins only
            `gap_percent` above it.
        wall: the untrusted clock, by which a plan without a floor ends.
    """
    fixed = _without(now, battery, outlook, settings)
    if fixed or now is None or battery is None or outlook is None:
        return Plan(
            Action.IDLE if jobs is not None and not jobs else Action.WORK,
            fixed,
            (wall if now is None else now) + settings.plan_s,
        )
    sleeps = may_sleep(settings)
    sun_at = path.sun_at(outlook, now, board.idle_w)
    # Keep energy for the night only if the board can sleep. Otherwise idling would use it up before sunrise.
    night_wh = (sun_at - now) / 3600 * board.off_w if sleeps else 0.0
    floor = _floor(battery, night_wh, settings)
    budget_wh = max(0.0, battery.stored_wh - floor / 100 * battery.capacity_wh)
    known = jobs if jobs is not None else (OpenWork(),)
    action, reason, wake_at = Action.WORK, "", None
    enough = battery.percent > floor + (0.0 if working else settings.gap_percent)
    usable = [job for job in known if _may_run(job, battery, settings, enough=enough)]
    if usable:
        reason = f"{battery.percent:.0f} % is above the floor of {floor:.0f} %"
        if not enough:
            reason = "a job of class `always` is waiting"
    else:
        action = Action.IDLE
        reason = f"{battery.percent:.0f} % is no more than the floor of {floor:.0f} %" if known else "no job waits"
        wanted = bool(known) or settings.sleep is SleepWhen.IDLE
        if sleeps and jobs is not None and wanted and not _free(now, battery, outlook, board, settings):
            wake_at = _wake_at(now, battery, outlook, floor, board, settings, short=bool(known))
            if wake_at - now >= settings.least_sleep_s:
                action, reason = Action.SLEEP, f"{reason}: sleeps for {duration(wake_at - now)}"
            else:
                wake_at = None
    return Plan(
        action,
        reason,
        min(now + settings.plan_s, outlook.end),
        floor_percent=round(floor, 2),
        wake_at=wake_at,
        budget_wh=round(budget_wh, 2),
        sun_at=sun_at,
    )


def may_sleep(settings: PlanSettings) -> bool:
    """True where the board may go down, and comes back."""
    return settings.can_wake and settings.sleep is not SleepWhen.NEVER


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


def _floor(battery: Battery, night_wh: float, settings: PlanSettings) -> float:
    """The hard floor, and what is needed until the sun is back; never above the fixed threshold."""
    needed = night_wh / battery.capacity_wh * 100
    return min(settings.pause_percent, settings.hard_floor_percent + needed)


def _may_run(job: OpenWork, battery: Battery, settings: PlanSettings, *, enough: bool) -> bool:
    """True where power allows this job now or within minutes."""
    if job.power is Power.ALWAYS:
        return True  # the policy stops even these at critical
    if job.power is Power.SURPLUS:
        return enough and battery.percent >= settings.surplus_percent - settings.gap_percent
    return enough


def _free(now: float, battery: Battery, outlook: Outlook, board: BoardModel, settings: PlanSettings) -> bool:
    """True if the battery will be full by dusk even if the board stays awake."""
    if path.watts(outlook, now, low=True) < board.idle_w and battery.percent < settings.surplus_percent:
        return False
    end = path.dusk(outlook, now, board.idle_w)
    hours = (end - now) / 3600
    gained = path.energy_wh(outlook, now, end, low=True) - hours * board.idle_w
    return battery.stored_wh + gained >= battery.capacity_wh


def _wake_at(
    now: float,
    battery: Battery,
    outlook: Outlook,
    floor: float,
    board: BoardModel,
    settings: PlanSettings,
    *,
    short: bool,
) -> float:
    """Return when to wake: there is enough energy to work, or `longest_sleep_s` is over.

    A job that is due earlier wakes the board by the gateway's answer to `Sleeper`, not by this plan.
    """
    latest = now + settings.longest_sleep_s
    above_wh = (floor + settings.gap_percent) / 100 * battery.capacity_wh + settings.batch_s / 3600 * board.busy_w
    boot_wh = board.boot_s / 3600 * board.boot_w
    if not short and battery.stored_wh >= above_wh:
        return min(latest, now + settings.nap_s)
    return min(latest, path.reaches(outlook, now, above_wh + boot_wh - battery.stored_wh, board.off_w))
