"""Sees panel and battery, learns, and plans: what governor and simulator both run. It does no input or output."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from edge.model import Plan
from edge.power.forecast import outside, predict
from edge.power.forecast.hours import FULL_PERCENT, Gathered, gather
from edge.power.forecast.learn import learn
from edge.power.forecast.memory import PanelMemory, Place
from edge.power.forecast.outlook import Outlook
from edge.power.forecast.place import kept, place
from edge.power.planner.plan import plan
from edge.power.planner.records import Battery, BoardModel, OpenWork, PlanSettings

_HOUR_S = 3600.0


class LookAhead:
    """The forecast of one board and its plan. Belongs to one thread."""

    def __init__(self, memory: PanelMemory, *, where: Place | None = None, about: Place | None = None) -> None:
        """Go on with `memory`.

        Args:
            memory: what was learned.
            where: what the owner gave; it comes before what was learned.
            about: where the panel may be, until its light tells: of a board that is dark each morning it never does.
        """
        self.memory = msgspec.structs.replace(memory, place=where or memory.place or about)
        self._gathered = Gathered()
        self._outlook: Outlook | None = None
        self._outside: outside.Hours = {}
        self.plan: Plan | None = None
        self._news: tuple[bool, bool, bool] | None = None

    def see(self, at: float, watts: float, percent: float | None) -> bool:
        """Note what the panel gives at `at`, a trusted time. True once an hour was learned."""
        full = percent is not None and percent >= FULL_PERCENT
        self._gathered, hour, light = gather(self._gathered, at, watts, full=full, peak=self.memory.peak)
        if light is not None and not (self.memory.place is not None and self.memory.place.given):
            lights = kept(self.memory.lights, light)
            found = place(lights) or self.memory.place
            self.memory = msgspec.structs.replace(self.memory, lights=lights, place=found)
        if hour is None:
            return False
        told = None
        if self._outside and self.memory.place is not None:
            told = outside.day_wh(self._outside, predict.solar(hour.hour, self.memory.place)[0], self.memory.place)
        self.memory = learn(self.memory, hour, outside_wh=told)
        self._outlook = None
        return True

    def told(self, hours: outside.Hours) -> None:
        """Take over what a forecast from outside says."""
        self._outside, self._outlook = hours, None

    def outlook(self, at: float) -> Outlook | None:
        """The forecast, made anew each hour: ours, or the one from outside once it was nearer to the truth."""
        if self._outlook is None or not self._outlook.start <= at < self._outlook.start + _HOUR_S:
            found = predict.outlook(self.memory, at)
            if found is not None and outside.better(self.memory):
                found = outside.instead(found, self._outside, self.memory)
            self._outlook = found
        return self._outlook

    def planned(
        self,
        now: float | None,
        battery: Battery | None,
        jobs: Sequence[OpenWork] | None,
        *,
        board: BoardModel,
        settings: PlanSettings,
        working: bool,
        wall: float,
    ) -> Plan:
        """The plan that counts now: another one when the last is over, or when what it was made for has changed."""
        news = (bool(jobs), working, now is not None and battery is not None)
        at = wall if now is None else now
        lapsed = self.plan is None or not self.plan.until - settings.plan_s - 1 <= at < self.plan.until
        if lapsed or news != self._news or self.plan is None:
            self._news = news
            view = None if now is None else self.outlook(now)
            self.plan = plan(now, battery, view, jobs, board=board, settings=settings, working=working, wall=wall)
        return self.plan

    def again(self) -> None:
        """Let the next call of `planned` plan anew."""
        self.plan = None

    @property
    def wait_until(self) -> float:
        """When the plan is over, by the wall clock."""
        return math.inf if self.plan is None else self.plan.until
