"""Makes the jobs of a day: small ones all day, bursts of long ones, a flood, and a night without jobs."""

from __future__ import annotations

import random
from typing import NamedTuple

from edge.model import Power

DAY_S = 86_400.0


class Arrival(NamedTuple):
    """A job that arrives at `at_s`, and whose body runs for `seconds`."""

    at_s: float
    kind: str
    seconds: float
    power: Power = Power.NORMAL


def day(seed: int) -> list[Arrival]:
    """Return the jobs of one day in order of arrival; the last six hours are empty."""
    dice = random.Random(seed)
    jobs: list[Arrival] = []
    # Readings of sensors: every few minutes 20 at once, 50 ms each. One worker ends them within a second.
    at_s = 0.0
    while (at_s := at_s + dice.expovariate(1 / 240)) < DAY_S * 0.75:
        jobs += [Arrival(at_s, "reading", dice.uniform(0.03, 0.07)) for _ in range(20)]
    # Bursts of work: 10 to 40 jobs of half a minute.
    for _ in range(12):
        at_s = dice.uniform(0, DAY_S * 0.7)
        jobs += [
            Arrival(at_s + dice.uniform(0, 20), "report", dice.uniform(20, 40)) for _ in range(dice.randint(10, 40))
        ]
    # A flood: 600 jobs of 2 s within a minute.
    at_s = dice.uniform(DAY_S * 0.3, DAY_S * 0.4)
    jobs += [Arrival(at_s + dice.uniform(0, 60), "picture", dice.uniform(1, 3)) for _ in range(600)]
    return sorted(jobs)


def steady(seed: int, *, seconds: float, every_s: float, until_s: float) -> list[Arrival]:
    """Return jobs of about `seconds`, on average one every `every_s`."""
    dice = random.Random(seed)
    jobs, at_s = [], 0.0
    while (at_s := at_s + dice.expovariate(1 / every_s)) < until_s:
        jobs.append(Arrival(at_s, "report", seconds * dice.uniform(0.5, 1.5)))
    return jobs


def supply(seed: int, until_s: float) -> list[tuple[float, bool]]:
    """Return the times at which a board's power turns good or low, as (at, good); the first time is random."""
    dice = random.Random(seed)
    at_s, good, turns = -dice.uniform(0, 7200), True, []
    while at_s < until_s:
        turns.append((at_s, good))
        at_s += dice.expovariate(1 / (3600 if good else 600))
        good = not good
    return turns
