"""Simulates a year of one board, minute by minute: sun, battery, board, jobs, and the rule that decides."""

from __future__ import annotations

import math
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
    """The state of the board."""

    OFF = 0  # it powered itself off, with an alarm set
    DEAD = 1  # the battery is empty, and the charger's load switch is open
    BOOTING = 2
    ON = 3


class View(msgspec.Struct):
    """What a rule may know: the present and the past, as a real board measures them."""

    minute: int
    at: float  # seconds since the epoch
    percent: float
    sun_w: float  # output of the panel; it is less than possible while the battery is full
    load_w: float  # power that the board draws
    waiting: deque[Arrival]  # jobs that the board has and that have not begun
    running: list[Body]


class Verdict(msgspec.Struct, frozen=True):
    """What a rule decides for this minute."""

    may: frozenset[Power] = frozenset()
    off_until: float | None = None  # if set, the board powers off now, until an alarm in this minute
    critical: bool = False  # True if it powers off because the power is critical


class Rule(Protocol):
    """Decides each minute which jobs may run, or that the board powers off. Times are minutes of the year."""

    name: str

    def booted(self, view: View) -> None:
        """Note that the board has started."""

    def decide(self, view: View) -> Verdict:
        """Decide for this minute; called each minute while the board is up."""

    def handed(self, job: Arrival, view: View) -> None:
        """Note that the board got a job; the jobs before it are in the view."""

    def began(self, job: Arrival, view: View) -> None:
        """Note that a job began, or that it is given up because its result is worth nothing any more."""


class Body(msgspec.Struct):
    """A job that has begun."""

    job: Arrival
    left: float  # minutes that it still needs


class Workers(Protocol):
    """Decides how many bodies run at once on a board with several cores."""

    def count(self, waiting: Sequence[Arrival], running: Sequence[Body], may: frozenset[Power], minute: int) -> int:
        """Return how many jobs may run at the same time in this minute."""


class Outcome(msgspec.Struct):
    """The outcome of a year."""

    name: str
    jobs: int = 0
    in_time: int = 0
    brown_outs: int = 0
    off_h: float = 0.0  # hours powered off or dead
    dark_h: float = 0.0  # hours without power: dead, or powered off at critical
    critical_h: float = 0.0  # hours below the critical charge, on or off
    boots: int = 0
    worked_h: float = 0.0
    spilled_wh: float = 0.0  # energy lost because the battery was full
    by_month: list[list[int]] = msgspec.field(default_factory=lambda: [[0, 0] for _ in range(12)])
    announced: int = 0  # start intervals that were announced for waiting jobs
    held: int = 0  # announced intervals in which the job began
    daily: list[tuple[float, float]] = []  # (mean percent, jobs in time) of each day

    @property
    def part(self) -> float:
        """Percentage of the jobs that were done in time."""
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
        percent_sum, before, earliest = 0.0, 0, math.inf  # `earliest`: no waiting job is due before this minute
        outcome.jobs = count
        for job in jobs:
            outcome.by_month[_month(job.minute)][1] += 1
        for minute in range(self._minutes):
            if minute % 60 == 0:  # the temperature of the battery follows that of the air slowly
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
                    earliest = min(earliest, outside[0].due)
                    waiting.append(outside.popleft())
                if earliest < minute:  # the results of some jobs are worth nothing any more
                    for job in [each for each in waiting if each.due < minute]:
                        waiting.remove(job)
                        rule.began(job, view)
                    earliest = min((each.due for each in waiting), default=math.inf)
                verdict = rule.decide(view)
                if verdict.off_until is not None:
                    for body in reversed(running):  # unfinished jobs begin again later
                        waiting.appendleft(body.job)
                        earliest = min(earliest, body.job.due)
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
                    state, critical = State.DEAD, True  # the charger's load switch stays open
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
                            earliest = min(earliest, body.job.due)
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
