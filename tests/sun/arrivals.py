"""Makes the jobs of a year with kind, class and deadline, at random times by a seed."""

from __future__ import annotations

import random

import msgspec

from edge.model import Power
from tests.sun.weather import DAYS


class Kind(msgspec.Struct, frozen=True):
    """One kind of job."""

    name: str = "job"
    per_day: float = 60.0
    minutes: float = 10.0
    power: Power = Power.NORMAL
    worth_h: float = 24.0  # hours after which the result is worth nothing


class Arrival(msgspec.Struct, frozen=True):
    """One job."""

    minute: int
    kind: Kind
    minutes: float
    due: float  # minute


def arrivals(kinds: tuple[Kind, ...], seed: int, days: int = DAYS) -> list[Arrival]:
    """Return all jobs in the order of their arrival."""
    found = list[Arrival]()
    for number, kind in enumerate(kinds):
        rng, at = random.Random(f"{seed} {number} {kind.name}"), 0.0
        while kind.per_day > 0:
            at += rng.expovariate(kind.per_day / 1440)
            if at >= days * 1440:
                break
            minutes = max(0.2, rng.gauss(kind.minutes, kind.minutes / 10))
            found.append(Arrival(int(at), kind, minutes, at + kind.worth_h * 60))
    found.sort(key=lambda each: each.minute)
    return found


def mixed(seed: int, count: int = 20, hours_per_day: float = 8.0) -> tuple[Kind, ...]:
    """Return `count` random kinds that together need `hours_per_day` of one core."""
    rng = random.Random(f"kinds {seed}")
    drawn = [
        Kind(
            f"kind-{number}",
            per_day=rng.uniform(0.5, 8.0),
            minutes=rng.choice((1.0, 3.0, 5.0, 10.0, 20.0, 45.0)),
            power=rng.choice((Power.NORMAL, Power.NORMAL, Power.NORMAL, Power.SURPLUS, Power.ALWAYS)),
            worth_h=rng.choice((4.0, 8.0, 12.0, 24.0, 48.0)),
        )
        for number in range(count)
    ]
    scale = hours_per_day * 60 / sum(each.per_day * each.minutes for each in drawn)
    return tuple(msgspec.structs.replace(each, per_day=each.per_day * scale) for each in drawn)
