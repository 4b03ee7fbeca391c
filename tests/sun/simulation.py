"""A year of one board, minute by minute: sun, battery, board, jobs, and the rule that decides."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from enum import Enum
from typing import Protocol

import msgspec

from edge.model import Power
from edge.power.planner.records import BoardModel
from tests.sun.arrivals import Arrival
from tests.sun.models import MINUTES, BatteryModel
from tests.sun.weather import Weather


class State(Enum):
    """What the board does."""

    OFF = 0  # by itself, with an alarm
    DEAD = 1  # the battery is empty, and the load switch of the charger waits
    BOOTING = 2
    ON = 3


class View(msgspec.Struct):
    """What a rule may know: now and the past, as a real board measures it."""

    minute: int
    at: float  # seconds since the epoch
    percent: float
    sun_w: float  # what the panel gives, which is less than it could while the battery is full
    load_w: float  # what the board draws
    waiting: deque[Arrival]  # handed over, and not begun
    running: list[Body]


class Verdict(msgspec.Struct, frozen=True):
    """What a rule decides for this minute."""

    may: frozenset[Power] = frozenset()
    off_until: float | None = None  # minute of the alarm; the board goes down now
    critical: bool = False  # it goes down for want of power


class Rule(Protocol):
    """A rule: decides each minute which jobs may run, or that the board goes down. Times are minutes of the year."""

    name: str

    def booted(self, view: View) -> None:
        """The board has started."""

    def decide(self, view: View) -> Verdict:
        """Called each minute while the board is up."""

    def handed(self, job: Arrival, view: View) -> None:
        """A job was handed over; those before it stand in the view."""

    def began(self, job: Arrival, view: View) -> None:
        """A job began, or is given up because its result is worth nothing any more."""


class Body(msgspec.Struct):
    """A job that has begun."""

    job: Arrival
    left: float  # minutes


class Workers(Protocol):
    """How many bodies run at once on a board with several cores."""

    def count(self, waiting: Sequence[Arrival], running: Sequence[Body], may: frozenset[Power], minute: int) -> int:
        """Return how many jobs may run at the same time in this minute."""


class Outcome(msgspec.Struct):
    """What a year brought."""

    name: str
    jobs: int = 0
    in_time: int = 0
    brown_outs: int = 0
    off_h: float = 0.0  # down by itself, or dead
    dark_h: float = 0.0  # off for want of power: dead, or gone down at critical
    critical_h: float = 0.0  # below critical, on or off
    boots: int = 0
    worked_h: float = 0.0
    spilled_wh: float = 0.0  # energy lost because the battery was full
    by_month: list[list[int]] = msgspec.field(default_factory=lambda: [[0, 0] for _ in range(12)])
    told: int = 0  # start intervals that were told to waiting jobs
    held: int = 0  # and held
    daily: list[tuple[float, float]] = []  # (mean percent, jobs in time) of each day

    @property
    def part(self) -> float:
        """Percent of the jobs that were done in time."""
        return 100.0 * self.in_time / max(1, self.jobs)


class Simulation:
    """Runs a rule over a year. Deterministic: the seeds are in the jobs and in the weather."""

    def __init__(
        self,
        weather: Weather,
        sun: Sequence[float],
        jobs: Sequence[Arrival],
        *,
        battery: BatteryModel,
        board: BoardModel,
        cores: int = 1,
        workers: Workers | None = None,
        critical_percent: float = 10.0,
        restart_percent: float = 5.0,
        minutes: int = MINUTES,
    ) -> None:
        self._weather, self._sun, self._jobs = weather, sun, jobs
        self._battery, self._board, self._cores, self._workers = battery, board, cores, workers
        self._critical, self._restart, self._minutes = critical_percent, restart_percent, minutes

    def run(self, rule: Rule) -> Outcome:
        """Simulate one year under `rule`."""
        board, battery, sun, jobs = self._board, self._battery, self._sun, self._jobs
        outcome, capacity, eff = Outcome(rule.name), battery.capacity_wh, battery.efficiency
        stored, state, until, critical = capacity * 0.6, State.BOOTING, 1.0, False
        body_w = board.busy_w - board.idle_w
        waiting, outside, running = deque[Arrival](), deque[Arrival](), list[Body]()
        view = View(0, 0.0, 60.0, 0.0, 0.0, waiting, running)
        boot_min, following, count = board.boot_s / 60, 0, len(jobs)
        usable = battery.usable(10.0)
        percent_sum, before = 0.0, 0
        outcome.jobs = count
        for job in jobs:
            outcome.by_month[_month(job.minute)][1] += 1
        for minute in range(self._minutes):
            if minute % 60 == 0:  # what is inside follows the air slowly
                usable += (battery.usable(self._weather.hours[minute // 60].celsius) - usable) / 8
            while following < count and jobs[following].minute <= minute:
                outside.append(jobs[following])
                following += 1
            bottom = capacity * (1.0 - usable)
            percent = min(100.0, max(0.0, (stored - bottom) / (capacity - bottom) * 100))
            if state is State.ON:
                view.minute, view.percent, view.at = minute, percent, self._weather.epoch(minute / 60)
                while outside:
                    rule.handed(outside[0], view)
                    waiting.append(outside.popleft())
                while waiting and waiting[0].due < minute:
                    rule.began(waiting.popleft(), view)
                verdict = rule.decide(view)
                if verdict.off_until is not None:
                    for body in reversed(running):  # what was not done begins again
                        waiting.appendleft(body.job)
                    running.clear()
                    state, until, critical = State.OFF, verdict.off_until, verdict.critical
                elif verdict.may:
                    if len(running) < self._cores and waiting:
                        at_once = self._cores
                        if self._workers is not None:
                            at_once = self._workers.count(waiting, running, verdict.may, minute)
                        self._start(rule, view, verdict.may, at_once)
                    load = board.idle_w
                    for body in running[:] if running else ():
                        if body.job.kind.power in verdict.may:
                            body.left -= 1.0
                            load += body_w
                            outcome.worked_h += 1 / 60
                            if body.left <= 0:
                                running.remove(body)
                                if body.job.due >= minute:
                                    outcome.in_time += 1
                                    outcome.by_month[_month(body.job.minute)][0] += 1
                else:
                    load = board.idle_w
            if state is State.BOOTING:
                load = board.boot_w
                if minute >= until:
                    state = State.ON
                    view.minute, view.percent, view.at = minute, percent, self._weather.epoch(minute / 60)
                    rule.booted(view)
            elif state is not State.ON:
                load = board.off_w
                outcome.off_h += 1 / 60
                if critical or state is State.DEAD:
                    outcome.dark_h += 1 / 60
                if state is State.OFF and minute >= until and percent < self._restart:
                    state, critical = State.DEAD, True  # the load switch of the charger gives nothing yet
                if (state is State.OFF and minute >= until) or (state is State.DEAD and percent >= self._restart):
                    state, until = State.BOOTING, minute + boot_min
                    outcome.boots += 1
            if percent < self._critical:
                outcome.critical_h += 1 / 60
            given, net = sun[minute], sun[minute] - load
            if net >= 0:
                stored += net * eff / 60
                if stored > capacity:
                    outcome.spilled_wh += (stored - capacity) / eff
                    given = max(0.0, load + (net - (stored - capacity) / eff * 60))
                    stored = capacity
            else:
                stored += net / eff / 60
                if stored <= bottom:
                    if state in {State.ON, State.BOOTING}:
                        outcome.brown_outs += 1
                        for body in reversed(running):
                            waiting.appendleft(body.job)
                        running.clear()
                        state, critical = State.DEAD, True
                    stored = max(0.0, stored)
            view.sun_w, view.load_w = given, load
            percent_sum += percent
            if minute % 1440 == 1439:
                outcome.daily.append((percent_sum / 1440, outcome.in_time - before))
                percent_sum, before = 0.0, outcome.in_time
        return outcome

    def _start(self, rule: Rule, view: View, may: frozenset[Power], at_once: int) -> None:
        for power in (Power.ALWAYS, Power.NORMAL, Power.SURPLUS):
            if power not in may:
                continue
            for job in list(view.waiting):
                if len(view.running) >= at_once:
                    return
                if job.kind.power is power and job.due >= view.minute:
                    view.waiting.remove(job)
                    view.running.append(Body(job, job.minutes))
                    rule.began(job, view)


def _month(minute: int) -> int:
    return min(11, int(minute / 1440 / 365 * 12))
