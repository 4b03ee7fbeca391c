"""Runs the real policy with the real planner and forecast, as the governor does."""

from __future__ import annotations

from edge.config.power import PowerConfig
from edge.config.sleep import SleepConfig
from edge.model import Action, Power
from edge.power.forecast.memory import PanelMemory, Place
from edge.power.forecast.place import about
from edge.power.inputs.limits import Level
from edge.power.planner.lookahead import LookAhead
from edge.power.planner.plan import may_sleep
from edge.power.planner.records import Battery, BoardModel, OpenWork, PlanSettings, SleepWhen
from edge.power.planner.starts import (
    LEAST_S,
    Interval,
    StartMemory,
    Surplus,
    came_true,
    expected_starts,
    interval,
    limits,
)
from edge.power.policy.floor import with_floor
from tests.sun.arrivals import Arrival
from tests.sun.rules import FixedThresholds
from tests.sun.simulation import Verdict, View

#: Default of `power.sleep.min_awake_s`.
AWAKE_S = SleepConfig().min_awake_s


class Planned(FixedThresholds):
    """Uses fixed thresholds until the forecast has learned a week, then the plan."""

    def __init__(
        self,
        *,
        capacity_wh: float,
        board: BoardModel,
        sleep: SleepWhen = SleepWhen.IDLE,
        where: Place | None = None,
        zone_h: float = 0.0,
        config: PowerConfig | None = None,
        settings: PlanSettings | None = None,
    ) -> None:
        super().__init__(config)
        self.name = "planner, sleeps" if sleep is not SleepWhen.NEVER else "planner, cannot sleep"
        self._thresholds = (config or PowerConfig()).thresholds
        self._fixed = self._rules
        self._capacity_wh, self._board = capacity_wh, board
        self._settings = settings or PlanSettings(sleep=sleep, can_wake=sleep is not SleepWhen.NEVER)
        self.ahead = LookAhead(PanelMemory(), where=where, about=about(zone_h * 3600))
        self._floor: float | None = None
        self._booted = 0
        self._counts, self._work = (0, 0), list[OpenWork]()
        self.starts, self._announced = StartMemory(), dict[Arrival, Interval]()
        self.held, self.announced_count = 0, 0

    def booted(self, view: View) -> None:
        super().booted(view)
        self.ahead.discard_plan()
        self._booted = view.minute

    def decide(self, view: View) -> Verdict:
        at = self.clock(view)
        if at is not None:
            self.ahead.see(at, view.sun_w, view.percent)
        plan = self.ahead.planned(
            at,
            Battery(view.percent, self._capacity_wh),
            self._open(view),
            board=self._board,
            settings=self._settings,
            working=self._state.level >= Level.NORMAL,
            wall=view.at,
        )
        if plan.floor_percent != self._floor:
            self._floor = plan.floor_percent
            self._rules = with_floor(self._fixed, self._thresholds, plan.floor_percent)
        verdict = self.stepped(self._rules, view)
        rested = (view.minute - self._booted) * 60 >= AWAKE_S
        if verdict.off_until is None and rested and plan.action is Action.SLEEP and plan.wake_at and at is not None:
            return Verdict(off_until=view.minute + (plan.wake_at - at) / 60)
        return verdict

    def _open(self, view: View) -> list[OpenWork]:
        """Return the open work, computed again only if the number of jobs changed; the plan only counts them."""
        counts = (len(view.waiting), len(view.running))
        if counts != self._counts:
            self._counts, self._work = counts, open_work(view)
        return self._work

    def handed(self, job: Arrival, view: View) -> None:
        """Announce an interval for the start of a job, from the jobs before it."""
        plan, view_ahead, power = self.ahead.plan, self.ahead.outlook(view.at), job.kind.power
        if plan is None or plan.floor_percent is None or view_ahead is None:
            return
        # Use the learned time of each kind, because the times of these jobs are not known yet.
        work = [(each.kind.power, each.kind.minutes) for each in view.waiting]
        work += [
            (body.job.kind.power, max(0.0, body.job.kind.minutes - body.job.minutes + body.left))
            for body in view.running
        ]
        rules, surplus = self._settings, None
        floor, resume = limits(power, floor=plan.floor_percent, gap=rules.gap_percent, critical=rules.critical_percent)
        if power is Power.SURPLUS:
            others = 60 * sum(minutes for each, minutes in work if each is not Power.SURPLUS)
            rich = self._state.level is Level.SURPLUS
            surplus = Surplus(rules.surplus_percent, rich, others)
        before = {
            Power.SURPLUS: {Power.SURPLUS},
            Power.NORMAL: {Power.NORMAL, Power.ALWAYS},
            Power.ALWAYS: {Power.ALWAYS},
        }[power]
        (likely,) = expected_starts(
            view.at,
            view_ahead,
            Battery(view.percent, self._capacity_wh),
            ahead_s=[60 * sum(minutes for each, minutes in work if each in before)],
            board=self._board,
            floor_percent=floor,
            resume_percent=resume,
            working=self._state.level >= (Level.LOW if power is Power.ALWAYS else Level.NORMAL),
            sleeps=may_sleep(self._settings),
            surplus=surplus,
        )
        if likely is not None and likely - view.at >= LEAST_S:
            self._announced[job] = interval(self.starts, view.at, likely, power)

    def began(self, job: Arrival, view: View) -> None:
        """Learn from the start of a job if its announced interval held."""
        announced = self._announced.pop(job, None)
        if announced is None or (job.due < view.minute and announced.late >= view.at):
            return  # the job was given up before the interval was over, so it is unknown if it held
        self.starts = came_true(self.starts, announced, view.at)
        self.announced_count += 1
        self.held += announced.early <= view.at <= announced.late

    def clock(self, view: View) -> float | None:
        """Return the board's own clock, in epoch seconds, or None if it is not trusted."""
        return view.at


def open_work(view: View) -> list[OpenWork]:
    """Return the open work, one entry for each kind that waits or runs."""
    kinds = {job.kind.name: job.kind for job in (*view.waiting, *(body.job for body in view.running))}
    return [OpenWork(kind.power) for kind in kinds.values()]
