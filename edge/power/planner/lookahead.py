"""Sees panel and battery, learns, and plans: what governor and simulator both run. It does no input or output."""

from __future__ import annotations

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
            where: the place that the owner gave; it overrides what was learned.
            about: a first guess of the place, from the time zone. It is used until first and last light give a better
                one; a board that is off each morning never sees first light.
        """
        self.memory = msgspec.structs.replace(memory, place=where or memory.place or about)
        self._gathered = Gathered()
        self._outlook: Outlook | None = None
        self._outside: outside.Hours = {}
        self.plan: Plan | None = None
        self._plan_inputs: tuple[bool, bool, bool] | None = None

    def see(self, at: float, watts: float, percent: float | None) -> bool:
        """Note what the panel gives now. True if that completed an hour, which was learned.

        Args:
            at: epoch seconds of a trusted clock.
            watts: of the panel.
            percent: charge of the battery, 0 to 100, or None if it is not known.
        """
        full = percent is not None and percent >= FULL_PERCENT
        self._gathered, hour, light = gather(self._gathered, at, watts, full=full, peak=self.memory.peak)
        if light is not None and not (self.memory.place is not None and self.memory.place.given):
            lights = kept(self.memory.lights, light)
            found = place(lights) or self.memory.place
            self.memory = msgspec.structs.replace(self.memory, lights=lights, place=found)
        if hour is None:
            return False
        outside_wh = None
        if self._outside and self.memory.place is not None:
            number = predict.solar(hour.hour, self.memory.place)[0]
            outside_wh = outside.day_wh(self._outside, number, self.memory.place)
        self.memory = learn(self.memory, hour, outside_wh=outside_wh)
        self._outlook = None
        return True

    def use_outside(self, hours: outside.Hours) -> None:
        """Take over the hours of a forecast from outside."""
        self._outside, self._outlook = hours, None

    def outlook(self, at: float) -> Outlook | None:
        """The forecast, made anew each hour: ours, or the one from outside while it is better."""
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
        """Return the current plan.

        A new one is made when the old one has expired, or when there are jobs and were none, work became allowed, or
        time and battery became known, or the other way round.

        Args:
            now: epoch seconds, or None if the clock is not trusted.
            battery: what is stored, or None if it is not known.
            jobs: what waits or runs, or None if it is not known.
            board: what the board draws.
            settings: what the owner allows.
            working: True if power allows work now.
            wall: the untrusted clock, in epoch seconds; used while `now` is None.
        """
        inputs = (bool(jobs), working, now is not None and battery is not None)
        at = wall if now is None else now
        # Also expired if the clock went back to before the plan was made.
        lapsed = self.plan is None or not self.plan.until - settings.plan_s - 1 <= at < self.plan.until
        if lapsed or inputs != self._plan_inputs or self.plan is None:
            self._plan_inputs = inputs
            view = None if now is None else self.outlook(now)
            self.plan = plan(now, battery, view, jobs, board=board, settings=settings, working=working, wall=wall)
        return self.plan

    def discard_plan(self) -> None:
        """Let the next call of `planned` make a new plan."""
        self.plan = None
