"""The real policy under the real planner and forecast, as the governor runs them."""

from __future__ import annotations

import msgspec

from edge.config.power import PowerConfig
from edge.model import Action, Plan
from edge.power.forecast import predict
from edge.power.forecast.hours import FULL_PERCENT, Gathered, gather
from edge.power.forecast.learn import learn
from edge.power.forecast.memory import PanelMemory, Place
from edge.power.forecast.outlook import Outlook
from edge.power.forecast.place import kept, place
from edge.power.planner.plan import plan
from edge.power.planner.records import Battery, BoardModel, OpenWork, PlanSettings, SleepWhen
from edge.power.policy.floor import with_floor
from tests.sun.arrivals import Arrival, Kind
from tests.sun.rules import FixedThresholds
from tests.sun.simulation import Verdict, View


class Planned(FixedThresholds):
    """Fixed thresholds until a week is learned, then the plan."""

    def __init__(
        self,
        *,
        capacity_wh: float,
        board: BoardModel,
        sleep: SleepWhen = SleepWhen.IDLE,
        where: Place | None = None,
        config: PowerConfig | None = None,
        settings: PlanSettings | None = None,
    ) -> None:
        super().__init__(config)
        self.name = "planner, sleeps" if sleep is not SleepWhen.NEVER else "planner, cannot sleep"
        self._thresholds = (config or PowerConfig()).thresholds
        self._fixed = self._rules
        self._capacity_wh, self._board = capacity_wh, board
        self._settings = settings or PlanSettings(sleep=sleep, can_wake=sleep is not SleepWhen.NEVER)
        self.memory, self._gathered = PanelMemory(place=where), Gathered()
        self._outlook: Outlook | None = None
        self.plan: Plan | None = None
        self._seen = (-1, -1, False)

    def booted(self, view: View) -> None:
        super().booted(view)
        self.plan = None

    def decide(self, view: View) -> Verdict:
        self.measure(view)
        seen = (len(view.waiting), len(view.running), view.percent >= 99.0)
        if self.plan is None or view.at >= self.plan.until or (seen != self._seen and self._news(seen)):
            self._seen = seen
            self.plan = self._planned(view)
            self._rules = with_floor(self._fixed, self._thresholds, self.plan.floor_percent)
        verdict = self.stepped(self._rules, view)
        if verdict.off_until is None and self.plan.action is Action.SLEEP and self.plan.wake_at is not None:
            return Verdict(off_until=view.minute + (self.plan.wake_at - view.at) / 60)
        return verdict

    def measure(self, view: View) -> None:
        """Learn from what the panel gives."""
        full = view.percent >= FULL_PERCENT
        self._gathered, hour, light = gather(self._gathered, view.at, view.sun_w, full=full, peak=self.memory.peak)
        if light is not None and (self.memory.place is None or not self.memory.place.given):
            lights = kept(self.memory.lights, light)
            self.memory = msgspec.structs.replace(self.memory, lights=lights, place=place(lights))
        if hour is not None:
            self.memory = learn(self.memory, hour)
            self._outlook = None

    def outlook(self, at: float) -> Outlook | None:
        """The forecast, made anew each hour."""
        if self._outlook is None or at >= self._outlook.start + 3600:
            self._outlook = predict.outlook(self.memory, at)
        return self._outlook

    def _news(self, seen: tuple[int, int, bool]) -> bool:
        """True where there are jobs now and were none, or the other way round."""
        return (seen[0] + seen[1] == 0) != (self._seen[0] + self._seen[1] == 0)

    def _planned(self, view: View) -> Plan:
        return plan(
            view.at,
            Battery(view.percent, self._capacity_wh),
            self.outlook(view.at),
            open_work(view),
            board=self._board,
            settings=self._settings,
        )


def open_work(view: View) -> list[OpenWork]:
    """What waits and runs, by kind."""
    kinds = dict[str, list[Arrival]]()
    for job in view.waiting:
        kinds.setdefault(job.kind.name, []).append(job)
    found = [_row(jobs[0].kind, jobs, view, running=0) for jobs in kinds.values()]
    return found + [_row(body.job.kind, [body.job], view, running=1) for body in view.running]


def _row(kind: Kind, jobs: list[Arrival], view: View, *, running: int) -> OpenWork:
    due_at = view.at + (min(job.due for job in jobs) - view.minute) * 60
    return OpenWork(kind.power, len(jobs), kind.minutes * 60, due_at=due_at, kind=kind.name, running=running)
