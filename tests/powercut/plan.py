"""Plans how each power-on of a campaign ends; the campaign's seed fixes the plan before the power-on begins."""

from __future__ import annotations

import random
from enum import StrEnum
from typing import get_args

import msgspec

from tests.powercut.disk import Event
from tests.powercut.stack import Part
from tests.powercut.trap import Moment


class When(StrEnum):
    """The phase of a power-on in which the cut comes."""

    BOOT = "boot"  # while the stack starts
    RECOVERY = "recovery"  # while jobs from before the last cut are still being finished
    LOAD = "load"  # while several submitters are at work
    QUIET = "quiet"  # while a single submitter is at work
    STALLED = "stalled"  # under load, while one part of the stack is stopped for a moment
    BURST = "burst"  # under a load of short jobs in bursts, which become durable in groups
    RETIRING = "retiring"  # in a burst, while an additional worker retires; only with --scaling
    UPLOADS = "uploads"  # while files are uploaded in pieces, each for a job; only with --files
    PAUSED = "paused"  # in a burst, after the board was paused and resumed


class Plan(msgspec.Struct, frozen=True):
    """One power-on and its end: after a time, at the n-th write or flush, or at the n-th answer to a submitter."""

    when: When
    after_s: float
    seed: int
    at: Event | Moment | None = None
    count: int = 0
    stall: Part | None = None
    alone: bool = False  # True: one worker gets the whole window of a queue. False: two workers share each queue.

    @property
    def bursts(self) -> bool:
        """True if short jobs come in bursts."""
        return self.when in (When.BURST, When.PAUSED, When.RETIRING)

    def __str__(self) -> str:
        then = f"{self.at:<9} {self.count:>3}" if self.at else f"+{self.after_s:.2f} s {self.stall or ''}"
        return f"{self.when:<8} {then:<15}{' 1 worker' if self.alone else ''}"


#: How many power-ons of each kind are among twenty in a row. With pure chance, one seed had its first quiet cut at 53.
_SHARES = {
    When.BOOT: 2,
    When.RECOVERY: 2,
    When.LOAD: 4,
    When.QUIET: 4,
    When.STALLED: 4,
    When.BURST: 3,
    When.PAUSED: 1,
}
_DEAL = sum(_SHARES.values())


def plan(campaign_seed: int, number: int) -> Plan:
    """Return how power-on `number` of a campaign ends, counted from 1; the same seed gives the same plan."""
    rng = random.Random(f"{campaign_seed}:{number}")
    deal, card = divmod(number - 1, _DEAL)
    dealt = random.Random(f"{campaign_seed}:deal:{deal}").sample(list(_SHARES), _DEAL, counts=_SHARES.values())
    when = dealt[card]
    seed = rng.getrandbits(32)
    if when is When.QUIET:
        return Plan(when, 0.0, seed, "seen", rng.randint(1, 3))
    if when is When.STALLED:
        return Plan(when, rng.uniform(0.2, 1.0), seed, stall=rng.choice(get_args(Part)))
    if when is When.PAUSED:
        return Plan(when, rng.uniform(0.2, 1.5), seed, alone=rng.random() < 0.5)
    alone = when is When.BURST and rng.random() < 0.5
    if rng.random() < 0.4:
        long = when in (When.LOAD, When.BURST)
        return Plan(when, rng.uniform(0.2, 2.5) if long else rng.random(), seed, alone=alone)
    # A wrong order of writes shows if the cut takes the place of a write or a flush. A promise made too early shows
    # if the cut comes right after it.
    events: list[tuple[Event | Moment, int]] = [("flush", 200), ("write", 400)]
    if when in (When.LOAD, When.BURST):
        events += [("accepted", 20), ("confirmed", 10), ("seen", 20)]
    event, most = rng.choice(events)
    return Plan(when, 0.0, seed, event, rng.randint(1, most), alone=alone)


def retiring(campaign_seed: int, number: int) -> Plan:
    """Return how power-on `number` ends in a campaign that cuts the power in the middle of scaling down."""
    rng = random.Random(f"{campaign_seed}:retiring:{number}")
    seed = rng.getrandbits(32)
    if rng.random() < 0.5:
        return Plan(When.RETIRING, rng.uniform(0.0, 1.0), seed, alone=True)
    events: list[tuple[Event | Moment, int]] = [("flush", 60), ("write", 120), ("seen", 20)]
    event, most = rng.choice(events)
    return Plan(When.RETIRING, 0.0, seed, event, rng.randint(1, most), alone=True)


def uploading(campaign_seed: int, number: int) -> Plan:
    """Return how power-on `number` ends in a campaign that cuts the power during uploads."""
    rng = random.Random(f"{campaign_seed}:uploads:{number}")
    seed = rng.getrandbits(32)
    alone = rng.random() < 0.5
    if rng.random() < 0.15:
        return Plan(rng.choice((When.BOOT, When.RECOVERY)), rng.random(), seed, alone=alone)
    if rng.random() < 0.3:
        return Plan(When.UPLOADS, rng.uniform(0.2, 2.5), seed, alone=alone)
    events: list[tuple[Event | Moment, int]] = [("flush", 80), ("write", 300), ("stored", 8), ("accepted", 8)]
    event, most = rng.choice(events)
    return Plan(When.UPLOADS, 0.0, seed, event, rng.randint(1, most), alone=alone)
