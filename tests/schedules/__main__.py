"""`python -m tests.schedules`: compare the times of cron expressions with a search by minutes, for every zone."""

from __future__ import annotations

import argparse
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from zoneinfo import available_timezones

import click

from tests.schedules.compare import clocks, compare, read


def main() -> int:
    """Compare, and print the differences; return 1 if there is one, else 0."""
    parser = argparse.ArgumentParser(prog="python -m tests.schedules", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--expressions", type=int, default=200)
    parser.add_argument("--year", type=int, default=2011, help="the first year")
    parser.add_argument("--years", type=int, default=10)
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    began = time.monotonic()
    names, parts = sorted(available_timezones()), options.processes
    span = {"year": options.year, "years": options.years}
    with ProcessPoolExecutor(parts) as pool:
        reads = [pool.submit(read, names[part::parts], **span) for part in range(parts)]
        every = clocks(sorted(clock for part in reads for clock in part.result()))
        compares = [
            pool.submit(compare, every[part::parts], seed=options.seed, count=options.expressions, **span)
            for part in range(parts)
        ]
        differences = [each for part in compares for each in part.result()[0]]
        compared = sum(part.result()[1] for part in compares)
    for difference in differences[:20]:
        click.echo(str(difference))
    click.echo(
        f"seed {options.seed}: {options.expressions} expressions, {len(names)} zones with {len(every)} clocks and"
        f" {sum(len(shifts) - 1 for shifts, _ in every)} changes, {options.year} to {options.year + options.years - 1}:"
        f" {compared} times compared in {time.monotonic() - began:.0f} s, {len(differences)} differences"
    )
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
