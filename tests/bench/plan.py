"""Holds the plans of the bench: the full one, a quick one, and a tiny one for the test of the bench itself."""

from __future__ import annotations

import msgspec


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Counts and times of one run of the bench."""

    name: str
    within_s: float | None = None  # time limit of the run; a figure that would exceed it is left out
    rounds: int
    jobs: dict[str, int]  # way -> most jobs in a round
    warm: int  # jobs of each way before the first round
    round_s: float | None = None  # a way that would take longer gets fewer jobs; with None it always gets `jobs`
    idle_s: float
    dips: int
    window: int  # bodies that must have started after a rise before power falls again
    waiting: tuple[int, ...]  # backlogs behind which a submit is timed
    submits: int
    pages: tuple[int, ...]  # number of pages fetched one after another, then sizes of the runs of spawned jobs


FULL = Plan(
    name="full",
    rounds=5,
    jobs={"batch": 5000, "single": 2000, "parallel": 4000, "plain": 5000, "plain-solo": 5000, "durable": 3000},
    warm=1000,
    idle_s=30.0,
    dips=200,
    window=100,
    waiting=(0, 1000, 10_000, 100_000),
    submits=1000,
    pages=(20, 100, 2100),
)
QUICK = Plan(
    name="quick",
    within_s=142.0,  # of 150: the rest is for stopping the processes
    rounds=3,
    jobs=FULL.jobs,
    warm=200,
    round_s=2.0,
    idle_s=6.0,
    dips=15,
    window=64,
    waiting=(0,),
    submits=200,
    pages=(3, 100),
)
TINY = Plan(
    name="tiny",
    rounds=2,
    jobs=dict.fromkeys(FULL.jobs, 16),
    warm=8,
    idle_s=0.5,
    dips=2,
    window=4,
    waiting=(0,),
    submits=5,
    pages=(1, 4),
)
PLANS = {plan.name: plan for plan in (FULL, QUICK, TINY)}
