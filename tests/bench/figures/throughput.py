"""Measures six ways from the first submit to the last result file, in turn, so that all meet the same machine.

Rounds alternate in direction. A ratio is taken within a round, where two ways are closest in time, and the report has
the median of the rounds. A machine that becomes slower half-way changes the rates, but hardly a ratio.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
from rich.table import Table

from tests.bench import meters
from tests.bench.figure import Bench, Figure
from tests.bench.sides.appliance import Appliance
from tests.bench.sides.peer import Peer
from tests.bench.sides.submitter import Submitter

WAYS = ("batch", "single", "parallel", "plain", "plain-solo", "durable")
_SUBMITTERS = 8
_CLIENT = "client"
_FEWEST = 160  # fewest jobs in a round: with fewer, a start costs more than the jobs


class Run(msgspec.Struct, frozen=True):
    """One way in one round."""

    jobs: int
    seconds: float
    cpu_s: dict[str, float]  # by part; `client` does not belong to the board
    written_bytes: int

    @property
    def jobs_per_s(self) -> float:
        """Jobs a second."""
        return self.jobs / self.seconds

    @property
    def cpu_ms_per_job(self) -> float:
        """CPU milliseconds of the board for each job: all parts but the client."""
        return sum(spent for part, spent in self.cpu_s.items() if part != _CLIENT) * 1e3 / self.jobs


class Row(msgspec.Struct, frozen=True):
    """One way in `bench.json`: medians over the rounds."""

    way: str
    jobs: int  # number of jobs in the last round
    jobs_per_s: float
    cpu_ms_per_job: float  # without the client
    ratio_to_plain: float
    ratio_to_durable: float
    ratio_to_plain_least: float
    ratio_to_plain_most: float
    cpu_ratio_to_plain: float
    cpu_ratio_to_durable: float
    cpu_ms_by_part: dict[str, float]  # for each job; the client is included
    written_kib_per_job: float  # as the kernel charges it, without the journal


@dataclass(frozen=True)
class Way:
    """One way from submit to result file."""

    name: str
    run: Callable[[int], None]
    costs: Callable[[], dict[str, meters.Cost]]


def measure(bench: Bench) -> list[Row]:
    """Warm up all ways, then measure them in rounds; return a row for each way."""
    with started(bench.folder / "peers", bench.appliance, bench.say) as ways:
        rates: dict[str, float] = {}
        for way in ways:
            bench.say(f"throughput: warm up, {way.name}")
            rates[way.name] = timed(way, even(way.name, bench.plan.warm)).jobs_per_s
        runs: dict[str, list[Run]] = {way.name: [] for way in ways}
        for number in range(bench.plan.rounds):
            for way in in_turn(ways, number):
                run = timed(way, planned(way.name, bench.plan.jobs[way.name], rates[way.name], bench.plan.round_s))
                runs[way.name].append(run)
                rates[way.name] = run.jobs_per_s
                bench.say(
                    f"throughput: round {number + 1} of {bench.plan.rounds}, {way.name}:"
                    f" {run.jobs} jobs, {run.jobs_per_s:.0f}/s, {run.cpu_ms_per_job:.2f} ms of CPU a job"
                )
    return rows(runs)


@contextmanager
def started(folder: Path, appliance: Appliance, say: Callable[[str], None]) -> Iterator[list[Way]]:
    """Start the processes of every way and yield the ways; stop the processes at the end."""
    peers = (("plain", "plain", ()), ("plain-solo", "plain", ("--pool", "solo")), ("durable", "durable", ()))
    with ThreadPoolExecutor(_SUBMITTERS) as pool, ExitStack() as stack:

        def submitters(way: str, count: int) -> list[Submitter]:
            made = list(pool.map(lambda _: Submitter(way, appliance.url), range(count)))
            stack.callback(lambda: list(pool.map(Submitter.stop, made)))
            return made

        ways = [
            appliance_way("batch", appliance, submitters("batch", 1)),
            appliance_way("single", appliance, submitters("single", 1)),
            appliance_way("parallel", appliance, submitters("single", _SUBMITTERS)),
        ]
        say(f"start {', '.join(name for name, *_ in peers)}")
        starting = [pool.submit(Peer, folder / name, appliance, program, *more) for name, program, more in peers]
        stack.callback(lambda: list(pool.map(lambda start: start.result().stop(), starting)))
        for (name, *_), start in zip(peers, starting, strict=True):
            ways.append(Way(name, start.result().run, start.result().costs))
        assert tuple(way.name for way in ways) == WAYS
        yield ways


def appliance_way(name: str, appliance: Appliance, submitters: Sequence[Submitter]) -> Way:
    """Return the way in which these submitters submit to the appliance at once, each an equal share."""

    def run(count: int) -> None:
        share = count // len(submitters)
        for index, submitter in enumerate(submitters):
            submitter.order(index * share, share)
        appliance.await_results([job_id for submitter in submitters for job_id in submitter.ids()])

    def costs() -> dict[str, meters.Cost]:
        client = meters.Cost(sum(submitter.cpu_s() for submitter in submitters))
        return appliance.costs() | {_CLIENT: client}

    return Way(name, run, costs)


def timed(way: Way, count: int) -> Run:
    """Run `count` jobs. The time ends with the last result file; CPU time counts until the remaining work is done."""

    def cpu_s() -> float:
        return sum(cost.cpu_s for cost in way.costs().values())

    before, began = way.costs(), time.perf_counter()
    way.run(count)
    seconds = time.perf_counter() - began
    meters.settled(cpu_s)
    spent = {part: cost - before.get(part, meters.Cost()) for part, cost in way.costs().items()}
    return Run(
        count,
        seconds,
        {part: cost.cpu_s for part, cost in spent.items()},
        sum(cost.written_bytes for cost in spent.values()),
    )


def even(way: str, count: int) -> int:
    """Round `count` down to a multiple of the submitters of a way; the result is at least one for each."""
    share = _SUBMITTERS if way == "parallel" else 1
    return max(share, count - count % share)


def planned(way: str, most: int, jobs_per_s: float, round_s: float | None) -> int:
    """Return the jobs of a round: `most`, but no more than fit into `round_s` seconds at the last rate."""
    if round_s is None:
        return even(way, most)
    return even(way, min(most, max(_FEWEST, round(jobs_per_s * round_s))))


def in_turn(ways: Sequence[Way], number: int) -> Sequence[Way]:
    """Return the ways in the order of round `number`; the direction alternates."""
    return ways if number % 2 == 0 else ways[::-1]


def rows(runs: Mapping[str, Sequence[Run]]) -> list[Row]:
    """Return the medians over the rounds of each way; `runs` must hold the same number of rounds for each."""

    def ratios(way: str, peer: str, value: Callable[[Run], float]) -> list[float]:
        return [value(run) / max(value(other), 1e-9) for run, other in zip(runs[way], runs[peer], strict=True)]

    def row(way: str, found: Sequence[Run]) -> Row:
        parts = sorted({part for run in found for part in run.cpu_s})
        to_plain = ratios(way, "plain", lambda run: run.jobs_per_s)
        return Row(
            way=way,
            jobs=found[-1].jobs,
            jobs_per_s=_median((run.jobs_per_s for run in found), 1),
            cpu_ms_per_job=_median((run.cpu_ms_per_job for run in found), 3),
            ratio_to_plain=_median(to_plain, 3),
            ratio_to_durable=_median(ratios(way, "durable", lambda run: run.jobs_per_s), 3),
            ratio_to_plain_least=round(min(to_plain), 3),
            ratio_to_plain_most=round(max(to_plain), 3),
            cpu_ratio_to_plain=_median(ratios(way, "plain", lambda run: run.cpu_ms_per_job), 3),
            cpu_ratio_to_durable=_median(ratios(way, "durable", lambda run: run.cpu_ms_per_job), 3),
            cpu_ms_by_part={
                part: _median((run.cpu_s.get(part, 0.0) * 1e3 / run.jobs for run in found), 3) for part in parts
            },
            written_kib_per_job=_median((run.written_bytes / 1024 / run.jobs for run in found), 1),
        )

    return [row(way, found) for way, found in runs.items()]


def _median(values: Iterator[float] | Sequence[float], digits: int) -> float:
    return round(statistics.median(values), digits)


def tables(found: Sequence[Row]) -> list[Table]:
    """Make a table of rates and one of CPU, with a line for each way."""
    rates = Table(
        "way",
        "jobs a round",
        "jobs/s",
        "to plain (least to most)",
        "to durable",
        "KiB written/job",
        title="throughput: first submit to last result file, median of the rounds",
    )
    parts = ("worker", "gateway", "broker", "governor", "other")
    cpu = Table("way", "board", *parts, "client apart", "to plain", "to durable", title="CPU, ms a job")
    for row in found:
        between = f"{row.ratio_to_plain:.2f} ({row.ratio_to_plain_least:.2f} to {row.ratio_to_plain_most:.2f})"
        rates.add_row(
            row.way,
            f"{row.jobs:,}",
            f"{row.jobs_per_s:.0f}",
            between,
            f"{row.ratio_to_durable:.2f}",
            f"{row.written_kib_per_job:.1f}",
        )
        shares = [f"{row.cpu_ms_by_part[part]:.2f}" if part in row.cpu_ms_by_part else "" for part in parts]
        cpu.add_row(
            row.way,
            f"{row.cpu_ms_per_job:.2f}",
            *shares,
            f"{row.cpu_ms_by_part.get(_CLIENT, 0.0):.2f}",
            f"{row.cpu_ratio_to_plain:.2f}",
            f"{row.cpu_ratio_to_durable:.2f}",
        )
    return [rates, cpu]


FIGURE = Figure("throughput", "six ways from submit to result file", measure, tables, quick_s=60.0)
