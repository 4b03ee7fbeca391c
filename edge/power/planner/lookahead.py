"""Learns from measurements of panel and battery, and plans. Governor and simulator use it. It does no file access."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from edge.model import Plan, Power
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
    """Keeps the forecast and the plan of one board up to date. Belongs to one thread."""

    def __init__(self, memory: PanelMemory, *, where: Place | None = None, about: Place | None = None) -> None:
        """Start with what `memory` holds.

        Args:
            memory: all that was learned before.
            where: the place that the owner configured; it overrides the learned place.
            about: a first guess of the place, from the time zone. It is used until the place is learned from first and
                last light. A board that is off each morning never sees first light.
        """
        self.memory = msgspec.structs.replace(memory, place=where or memory.place or about)
        self._gathered = Gathered()
        self._outlook: Outlook | None = None
        self._outside: outside.Hours = {}
        self.plan: Plan | None = None
        self._plan_inputs: tuple[frozenset[Power] | None, bool, bool] | None = None

    def see(self, at: float, watts: float, percent: float | None) -> bool:
        """Add a reading of the panel. Return True if an hour is complete; it was learned then.

        Args:
            at: epoch seconds of a trusted clock.
            watts: power of the panel.
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
        """Store the hours of a forecast from outside, in place of the earlier ones."""
        self._outside, self._outlook = hours, None

    def outlook(self, at: float) -> Outlook | None:
        """Return the forecast, which is made anew each hour, or None if there is none yet.

        It has the watts of the forecast from outside while that is better than ours.
        """
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

        A new plan is made when the old one has expired, or when one of these changes: the power classes of the jobs,
        if work is allowed, if time and battery are known.

        Args:
            now: epoch seconds, or None if the clock is not trusted.
            battery: the stored energy, or None if it is not known.
            jobs: jobs that wait or run, or None if they are not known.
            board: the draw of the board.
            settings: the owner's settings and the fixed thresholds.
            working: True if power allows work now.
            wall: the untrusted clock, in epoch seconds; used while `now` is None.
        """
        classes = None if jobs is None else frozenset(job.power for job in jobs)
        inputs = (classes, working, now is not None and battery is not None)
        at = wall if now is None else now
        # A plan has also expired if the clock went back to a time before the plan was made.
        lapsed = self.plan is None or not self.plan.until - settings.plan_s - 1 <= at < self.plan.until
        if lapsed or inputs != self._plan_inputs or self.plan is None:
            self._plan_inputs = inputs
            view = None if now is None else self.outlook(now)
            self.plan = plan(now, battery, view, jobs, board=board, settings=settings, working=working, wall=wall)
        return self.plan

    def discard_plan(self) -> None:
        """Let the next call of `planned` make a new plan."""
        self.plan = None
