"""The simulated boards scale their workers better than two other rules, and obey broker and power."""

from __future__ import annotations

from edge.config.workers import WorkerEntry
from tests.scale.rules import CeleryAutoscale, Ours, Published
from tests.scale.simulation import Outcome, Simulation
from tests.scale.trace import DAY_S, Arrival, day

ENTRY = WorkerEntry("extra", max="auto")


def ran(rule: Ours | Published | CeleryAutoscale) -> Outcome:
    return Simulation(day(1), [rule], until_s=DAY_S).run()


def test_a_day_costs_less_than_by_both_other_rules_and_interrupts_nothing() -> None:
    """Our rule needs less time of additional workers; Celery's idle workers let its jobs start a little sooner."""
    ours, celery = ran(Ours(ENTRY)), ran(CeleryAutoscale(least=1, most=4))
    published = ran(Published(up_at=10, down_at=2, rate_per_min=10.0, least=1, most=4))
    assert ours.done == celery.done == published.done == len(day(1))
    assert ours.worker_s - DAY_S < 0.7 * (celery.worker_s - DAY_S)
    assert ours.worker_s - DAY_S < 0.5 * (published.worker_s - DAY_S)
    assert sum(ours.waits_s) < sum(published.waits_s)
    assert sum(ours.waits_s) < 1.02 * sum(celery.waits_s)
    assert (ours.interrupted, published.interrupted > 0) == (0, True)


def test_the_same_seed_gives_the_same_day() -> None:
    assert ran(Ours(ENTRY)) == ran(Ours(ENTRY))


def test_a_broker_that_is_slow_bounds_what_boards_do() -> None:
    jobs = [Arrival(0.0, "a", 1.0)] * 500
    free = Simulation(jobs, [Ours(ENTRY) for _ in range(20)], until_s=60.0).run()
    bound = Simulation(jobs, [Ours(ENTRY) for _ in range(20)], until_s=60.0, broker_s=0.5).run()
    assert (free.done, 110 <= bound.done <= 120) == (500, True)


def test_a_board_of_low_power_takes_no_job() -> None:
    jobs = [Arrival(0.0, "a", 1.0)] * 5
    outcome = Simulation(jobs, [Ours(ENTRY)], supplies=[[(0.0, False), (50.0, True)]]).run()
    assert min(outcome.waits_s) >= 50.0
