"""Decides from battery, forecast, open jobs and time how low the battery may go, and whether to work, idle or sleep.

Waiting does not add energy to the battery, but an idle board draws `idle_w` all the time. So work is done as soon as
there is energy for it, and the board sleeps as soon as there is none. The battery keeps only the energy that the board
needs to sleep until the sun is back, above a hard floor that no forecast changes.
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
        now: seconds since the epoch, or None if the clock is not trusted.
        battery: the stored energy, or None if charge or size of the battery is not known.
        outlook: the forecast of the panel, or None if there is none.
        jobs: jobs that wait or run, or None if they are not known. If None, the board does not sleep.
        board: the draw of the board.
        settings: the owner's settings and the fixed thresholds.
        working: True if work is allowed now. Then it continues down to the floor. Otherwise it begins only
            `gap_percent` above the floor.
        wall: the untrusted clock, in epoch seconds. It times the end of the plan while `now` is None.
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
        action, short = Action.IDLE, bool(known) and not enough
        reason = "no job waits"
        if short:
            reason = f"{battery.percent:.0f} % is not above the floor of {floor:.0f} %"
        elif known:
            reason = f"only jobs for surplus power wait, from {settings.surplus_percent:.0f} % on"
        wanted = short or settings.sleep is SleepWhen.IDLE
        if sleeps and jobs is not None and wanted and not _free(now, battery, outlook, board, settings):
            target = settings.surplus_percent if known and enough else None
            wake_at = _wake_at(now, battery, outlook, floor, board, settings, short=short, target=target)
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
    """Return True if the owner allows sleep and the board can wake by itself."""
    return settings.can_wake and settings.sleep is not SleepWhen.NEVER


def _without(now: float | None, battery: Battery | None, outlook: Outlook | None, settings: PlanSettings) -> str:
    """Return why the fixed thresholds decide, or "" if the forecast does."""
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
    """Return the floor in percent: the hard floor plus the energy for the night, at most the fixed pause threshold."""
    needed = night_wh / battery.capacity_wh * 100
    return min(settings.pause_percent, settings.hard_floor_percent + needed)


def _may_run(job: OpenWork, battery: Battery, settings: PlanSettings, *, enough: bool) -> bool:
    """Return True if power allows this job now or within minutes."""
    if job.power is Power.ALWAYS:
        return True  # at `critical` the policy stops these jobs too
    if job.power is Power.SURPLUS:
        return enough and battery.percent >= settings.surplus_percent - settings.gap_percent
    return enough


def _free(now: float, battery: Battery, outlook: Outlook, board: BoardModel, settings: PlanSettings) -> bool:
    """Return True if the battery will be full by dusk although the board stays awake."""
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
    target: float | None,
) -> float:
    """Return when to wake: as soon as there is enough energy to work, at the latest after `longest_sleep_s`.

    If the energy suffices already and no job waits that may use it, the sleep lasts `nap_s`, or until the battery has
    reached `target`. This plan does not know when a job is due: the gateway tells the `Sleeper`, which wakes the board
    earlier if needed.

    Args:
        now: seconds since the epoch.
        battery: the stored energy.
        outlook: the forecast of the panel.
        floor: in percent.
        board: the draw of the board.
        settings: the owner's settings and the fixed thresholds.
        short: True if jobs wait for energy.
        target: charge in percent for which jobs of class `surplus` wait, or None if none waits.
    """
    latest = now + settings.longest_sleep_s
    above_wh = (floor + settings.gap_percent) / 100 * battery.capacity_wh + settings.batch_s / 3600 * board.busy_w
    boot_wh = board.boot_s / 3600 * board.boot_w
    if not short and battery.stored_wh >= above_wh:
        nap = min(latest, now + settings.nap_s)
        if target is None:
            return nap
        return min(nap, path.reaches(outlook, now, target / 100 * battery.capacity_wh - battery.stored_wh, board.off_w))
    return min(latest, path.reaches(outlook, now, above_wh + boot_wh - battery.stored_wh, board.off_w))
