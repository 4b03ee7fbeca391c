"""`make simulate-scale`: compare the rule that scales workers with two others, and simulate it on 1 to 1,000 boards."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import click

from edge.config.workers import WorkerEntry
from tests.scale.rules import CeleryAutoscale, Ours, Published, Rule
from tests.scale.simulation import Outcome, Simulation
from tests.scale.trace import DAY_S, Arrival, day, steady, supply

ENTRY = WorkerEntry("extra", max="auto")
CORES = 4
#: CPU time of RabbitMQ for a job that one of two workers takes, as `python -m tests.scale.costs` measured it on x86-64.
BROKER_S = 0.0017
HORIZON_S = 300.0
#: A number of jobs of 2 s that is more than a board can end within the horizon.
FLOOD, FLOOD_S = 700, 2.0


def compared(seed: int) -> Iterator[tuple[str, Outcome, int]]:
    """Yield (name, outcome, changes of the worker count) of each rule, for the same day on the same board."""
    rules: dict[str, Ours | Published | CeleryAutoscale] = {
        "edge": Ours(ENTRY),
        "published package": Published(up_at=10, down_at=2, rate_per_min=10.0, least=1, most=CORES),
        "celery --autoscale=4,1": CeleryAutoscale(least=1, most=CORES),
    }
    for name, rule in rules.items():
        yield name, Simulation(day(seed), [rule], cores=CORES, until_s=DAY_S).run(), rule.changes


def spread(seed: int, boards: int) -> tuple[Outcome, Outcome, int]:
    """Simulate boards with independent power.

    Returns:
        The outcome of a load that ten boards can carry, the outcome of a flood that no number of boards can finish,
        and the sum of the jobs that the boards finish if each has its own broker.
    """
    supplies = [supply(seed * 1009 + number, HORIZON_S) for number in range(boards)]
    load = steady(seed, seconds=2.0, every_s=2.0 / (0.6 * 10 * CORES), until_s=HORIZON_S)
    rules: list[Rule] = [Ours(ENTRY) for _ in range(boards)]
    carried = Simulation(load, rules, cores=CORES, supplies=supplies, broker_s=BROKER_S, look_s=5.0).run()
    flood = [Arrival(0.0, "report", FLOOD_S)] * (FLOOD * boards)
    rules = [Ours(ENTRY) for _ in range(boards)]
    most = Simulation(
        flood, rules, cores=CORES, supplies=supplies, broker_s=BROKER_S, until_s=HORIZON_S, look_s=5.0
    ).run()
    alone = sum(
        Simulation(flood[:FLOOD], [Ours(ENTRY)], cores=CORES, supplies=[each], until_s=HORIZON_S, look_s=5.0).run().done
        for each in supplies
    )
    return carried, most, alone


def mean(values: list[float]) -> float:
    """Return the mean, or 0 if there are no values."""
    return sum(values) / len(values) if values else 0.0


def percentile(values: list[float], part: float) -> float:
    """Return the value that the share `part` of all values does not exceed, or 0 if there are no values."""
    return sorted(values)[int(part * (len(values) - 1))] if values else 0.0


@click.command()
@click.option("--seed", type=int, default=1, show_default=True)
@click.option("--boards", type=click.IntRange(1, 1000), multiple=True, default=(1, 10, 100, 1000), show_default=True)
def main(seed: int, boards: tuple[int, ...]) -> None:
    """Print both tables. The same seed prints the same figures."""
    click.echo(f"A day on one board with {CORES} cores (seed {seed})\n")
    click.echo(f"{'rule':<24} {'worker s':>10} {'mean wait':>10} {'95 %':>9} {'changes':>8} {'interrupted':>12}")
    for name, outcome, changes in compared(seed):
        waits = f"{mean(outcome.waits_s):>8.1f} s {percentile(outcome.waits_s, 0.95):>7.1f} s"
        click.echo(f"{name:<24} {outcome.worker_s:>10.0f} {waits} {changes:>8} {outcome.interrupted:>12}")
    click.echo(f"\nBoards with independent power, {BROKER_S * 1000:g} ms of the broker for a job\n")
    click.echo(f"{'boards':>6} {'mean wait':>11} {'worker s':>10} {'jobs/s at most':>15} {'of all alone':>13}")
    for number in boards:
        carried, most, alone = spread(seed, number)
        wait, rate, part = mean(carried.waits_s), most.done / HORIZON_S, most.done / max(1, alone)
        click.echo(f"{number:>6} {wait:>9.1f} s {carried.worker_s:>10.0f} {rate:>15.1f} {part:>13.3f}")


if __name__ == "__main__":
    sys.exit(main(prog_name="simulate-scale"))
