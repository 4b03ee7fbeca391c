"""`edge power replay --days N` computes the last days again, with another battery or panel."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import msgspec

from edge.cli import output
from edge.core import stored
from edge.core.errors import UsageError

if TYPE_CHECKING:
    from edge.config import Config
    from edge.power.planner.whatif import Ran, Slot

_USUAL_JOB_S = 60.0  # seconds of a job if nothing is learned yet


class Compared(msgspec.Struct, frozen=True):
    """The days with the present battery and panel, and with the other ones. The planner computes both."""

    days: int
    battery_wh: float
    other_battery_wh: float
    panel: float  # factor of the other panel's watts
    as_it_was: Ran
    as_it_would_be: Ran


def compare(config: Config, *, days: int, battery: float, panel: float) -> Compared:
    """Compute the last `days` twice, with the present and with the other battery and panel.

    Args:
        config: the board's configuration.
        days: number of days.
        battery: size of the other battery, as a factor of the present one.
        panel: watts of the other panel, as a factor of the present one.

    Raises:
        UsageError: the battery's size is not configured, or no solar watts were recorded.
    """
    from edge.power.governor.planning import board_of, remembered, settings_of  # loaded on a board only
    from edge.power.planner.whatif import run

    battery_wh = config.power.battery_wh
    if battery_wh is None:
        raise UsageError("power.battery_wh is not set: the size of the battery has to be known")
    slots, job_s = _slots(config, days)
    board, settings = board_of(config), settings_of(config.power)
    memory = remembered(config)

    def ran(wh: float, factor: float) -> Ran:
        return run(slots, battery_wh=wh, board=board, settings=settings, memory=memory, job_s=job_s, panel=factor)

    other_wh = battery_wh * battery
    return Compared(days, battery_wh, other_wh, panel, ran(battery_wh, 1.0), ran(other_wh, panel))


def show(compared: Compared) -> None:
    """Write the comparison for a person."""
    more = compared.as_it_would_be.jobs - compared.as_it_was.jobs
    what = f"{compared.other_battery_wh:g} Wh in place of {compared.battery_wh:g} Wh"
    if compared.panel != 1.0:
        what += f" and {compared.panel:g} times the panel"
    change = (
        "the same number of jobs"
        if not more
        else f"{abs(more)} job{'' if abs(more) == 1 else 's'} {'more' if more > 0 else 'fewer'}"
    )
    output.facts(
        [
            ("with", what),
            (
                "last",
                f"{compared.days} days: {change} ({compared.as_it_would_be.jobs}, was {compared.as_it_was.jobs})",
            ),
            ("off", f"{compared.as_it_would_be.off_h:.0f} h, was {compared.as_it_was.off_h:.0f} h"),
            (
                "lowest",
                f"{compared.as_it_would_be.lowest_percent:.0f} %, was {compared.as_it_was.lowest_percent:.0f} %",
            ),
        ]
    )


def _slots(config: Config, days: int) -> tuple[list[Slot], float]:
    """Return the quarter hours of the last days with the jobs that arrived in each, and the mean seconds of a job."""
    from edge.gateway.background.activity import Activity  # loaded on a board only
    from edge.power import series
    from edge.power.planner.whatif import Slot

    last = time.time()
    first = series.slot_of(last - days * 86_400)
    power = series.read(config.layout.days, config.layout.today, first=first, last=last)
    if not any(slot.solar_watts.value is not None for slot in power.values()):
        raise UsageError(f"no solar watts were recorded in the last {days} days ({config.layout.days})")
    activity = Activity(config.layout.activity, open_jobs=lambda: 0)
    jobs = activity.slots(first=first, last=last)
    slots, before = list[Slot](), 0
    for at in range(first, int(last), series.SLOT_S):
        seen, did = power.get(at), jobs.get(at)
        arrived = 0
        if did is not None:
            backlog = max(0, did.backlog)
            arrived, before = max(0, did.started + backlog - before), backlog
        solar = None if seen is None else seen.solar_watts.value
        percent = None if seen is None else seen.charge.value
        slots.append(Slot(float(at), solar, percent, arrived))
    return slots, _job_s(config)


def _job_s(config: Config) -> float:
    """Return the mean seconds of a job, from the learned costs of all kinds."""
    from edge.gateway.costs import KindCost  # loaded on a board only

    try:
        found = stored.read(config.layout.costs, dict[str, KindCost])
    except (OSError, stored.BadContent):
        return _USUAL_JOB_S
    runs = sum(each.runs for each in found.values())
    return max(0.1, sum(each.runs * each.seconds for each in found.values()) / runs) if runs else _USUAL_JOB_S
