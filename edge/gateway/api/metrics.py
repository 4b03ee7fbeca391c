"""Builds the Prometheus metrics at each scrape, from the real state. So no counter is kept twice."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress

from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from edge import __version__
from edge.gateway.receipts import Receipts
from edge.gateway.service import Appliance
from edge.model import Action, JobState, PowerState, PowerStatus, WorkerState
from edge.wire import BrokerState, ForecastView

MEDIA = "text/plain"
_STORED = tuple(state for state in JobState if state is not JobState.RUNNING)


class Metrics:
    """Answers scrapes. It has its own registry, without the default metrics of the library."""

    def __init__(self, appliance: Appliance) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(_State(appliance))

    def response(self) -> web.Response:
        """Return the present metrics, in text format 0.0.4."""
        headers = {"Content-Type": f"{MEDIA}; version=0.0.4; charset=utf-8"}
        return web.Response(body=generate_latest(self._registry), headers=headers)


class _State(Collector):
    """Reads the appliance at each scrape. Runs on the event loop, with a few short queries."""

    def __init__(self, appliance: Appliance) -> None:
        self._appliance = appliance

    def collect(self) -> Iterator[Metric]:
        """Yield all metrics, made from the present state."""
        appliance, board = self._appliance, self._appliance.board
        yield InfoMetricFamily("edge", "Version of the gateway.", value={"version": __version__})
        counts = appliance.outbox.totals.jobs
        yield _gauges("edge_jobs", "Jobs in the ledger.", "state", {state: counts.get(state, 0) for state in _STORED})
        backlog = {klass.value: count for klass, count in appliance.outbox.totals.backlog.items()}
        yield _gauges(
            "edge_backlog", "Open jobs that may be published or already are, by power class.", "power", backlog
        )
        waiting = appliance.outbox.totals.waiting
        yield GaugeMetricFamily("edge_jobs_waiting", "Accepted jobs that wait for their time or for others.", waiting)
        yield GaugeMetricFamily(
            "edge_jobs_released", "Jobs that the broker has or is about to get.", appliance.outbox.release.out
        )
        yield CounterMetricFamily("edge_results", "Results seen since the start.", value=appliance.settled)
        active, idle = appliance.schedules.counts()
        yield _gauges("edge_schedules", "Periodic jobs.", "state", {"active": active, "idle": idle})
        slots = CounterMetricFamily("edge_slots", "Slots of schedules since the start.", labels=["fate"])
        for fate, count in appliance.schedules.decided.items():
            slots.add_metric([fate.value], count)
        yield slots
        yield GaugeMetricFamily("edge_waiting_requests", "Requests that wait for a result.", len(appliance.waiters))
        broker = board.broker().state
        yield _gauges(
            "edge_broker", "1 for the state of the link to the broker.", "state", _one_of(BrokerState, broker)
        )
        power = board.power()
        yield _gauges("edge_power", "1 for the state of the supply.", "state", _one_of(PowerState, power.state))
        yield GaugeMetricFamily(
            "edge_power_since_seconds", "When the supply entered its state, as Unix time.", power.since
        )
        yield from _readings(power)
        yield from _ahead(power, board.forecast())
        living = board.workers()
        held = sum(job.held is not None for worker in living for job in worker.running)
        faults = sum(worker.faults for worker in living)
        yield CounterMetricFamily(
            "edge_worker_faults", "Faults of the workers themselves while they handled a job.", value=faults
        )
        yield GaugeMetricFamily("edge_jobs_held", "Jobs that have begun and wait for power.", held)
        yield from _energy(appliance.receipts)
        workers = [worker.state for worker in living]
        yield _gauges(
            "edge_workers",
            "Running workers, by state.",
            "state",
            {state: workers.count(state) for state in WorkerState},
        )
        wanted = {each.name: each.wanted for each in board.scaling()}
        if wanted:
            scaled = "Processes of a scaled entry of `workers` that the governor wants to run."
            yield _gauges("edge_workers_wanted", scaled, "entry", wanted)
        gaps = "Kinds of job and power classes that no configured worker takes; `unserved` in /v1/status explains each."
        yield GaugeMetricFamily("edge_unserved", gaps, len(appliance.unserved()))
        if (free_bytes := board.free_bytes()) is not None:
            yield GaugeMetricFamily("edge_disk_free_bytes", "Free space under the state root.", free_bytes)
        with suppress(OSError):
            count, stored, unfinished = appliance.files.usage()
            yield GaugeMetricFamily("edge_input_files", "Files that were uploaded for jobs.", count)
            space = "Disk space of the files that were uploaded for jobs."
            yield _gauges("edge_input_bytes", space, "state", {"stored": stored, "unfinished": unfinished})
        yield GaugeMetricFamily(
            "edge_start_time_seconds", "When the gateway started, as Unix time.", appliance.started_at
        )
        yield CounterMetricFamily("edge_cpu_seconds", "CPU time of the gateway.", value=sum(os.times()[:2]))


def _ahead(power: PowerStatus, forecast: ForecastView | None) -> Iterator[Metric]:
    """Yield the plan and the accuracy of the forecast. Yield nothing for a board that does not look ahead."""
    plan = power.plan
    if plan is not None:
        yield _gauges("edge_plan", "1 for the action that the planner wants.", "action", _one_of(Action, plan.action))
        if plan.floor_percent is not None:
            floor = "Charge down to which work may drain the battery."
            yield GaugeMetricFamily("edge_plan_floor_percent", floor, plan.floor_percent)
        if plan.budget_wh is not None:
            budget = "Energy that work may use until the sun is back."
            yield GaugeMetricFamily("edge_night_budget_watt_hours", budget, plan.budget_wh)
    if forecast is None:
        return
    errors = GaugeMetricFamily("edge_forecast_error_watt_hours", "Mean error of a day's energy.", labels=["forecast"])
    for name, value in (
        ("own", forecast.error_wh),
        ("as-yesterday", forecast.as_yesterday_wh),
        ("outside", forecast.outside_wh),
    ):
        if value is not None:
            errors.add_metric([name], value)
    yield errors
    if forecast.below_p10 is not None:
        below = "Share of the hours that gave less energy than their P10."
        yield GaugeMetricFamily("edge_forecast_below_p10_ratio", below, forecast.below_p10)
    if forecast.starts_held is not None:
        held = "Share of the announced start times that were kept (the job started within the announced interval)."
        yield GaugeMetricFamily("edge_start_times_held_ratio", held, forecast.starts_held)


def _readings(power: PowerStatus) -> Iterator[Metric]:
    """Yield value and age of each reading. An unknown reading has only an age."""
    labels = ["source", "what", "unit"]
    values = GaugeMetricFamily("edge_power_reading", "The last reading of a power source.", labels=labels)
    ages = GaugeMetricFamily("edge_power_reading_age_seconds", "Age of the last reading.", labels=labels)
    for each in power.readings:
        names = [each.source, each.what, each.unit]
        if each.value is not None:
            values.add_metric(names, each.value)
        ages.add_metric(names, each.age_s)
    yield values
    yield ages


def _energy(receipts: Receipts) -> Iterator[Metric]:
    """Yield the sums over the results seen since the start of the gateway."""
    joules = CounterMetricFamily("edge_job_joules", "Energy that ended jobs took from the supply.", labels=["metering"])
    for metering, total in receipts.joules.items():
        joules.add_metric([metering], total)
    yield joules
    yield CounterMetricFamily("edge_job_seconds", "Time that ended jobs ran.", value=receipts.seconds)
    yield CounterMetricFamily("edge_job_cpu_seconds", "CPU time of ended jobs.", value=receipts.cpu_seconds)
    yield CounterMetricFamily("edge_job_held_seconds", "Time that ended jobs were held.", value=receipts.held_s)


def _gauges(name: str, text: str, label: str, values: dict[str, int]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=[label])
    for value, number in values.items():
        family.add_metric([str(value)], number)
    return family


def _one_of(states: type, now: object) -> dict[str, int]:
    return {state: int(state is now) for state in states}  # type: ignore[attr-defined]
