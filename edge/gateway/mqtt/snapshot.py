"""Reads the present values of all entities, from the same sources as the other parts of the gateway."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime

import msgspec

from edge.core.values import JsonValue
from edge.gateway.mqtt.entities import OFF, ON
from edge.gateway.service import Appliance
from edge.model import PowerState, Reading, RunningJob
from edge.power.governor import pause
from edge.wire import BrokerState, JobChange

#: Largest number of characters of a state in Home Assistant.
_LONGEST = 255
_NONE = "none"
#: Several sources may report one quantity. This function makes the one value that the board shows.
_CHOICE: dict[str, Callable[[Iterable[float]], float]] = {
    "charge": min,
    "runtime": min,
    "watts": sum,
    "solar_watts": sum,
    "temperature": max,
}
_DIGITS = {"charge": None, "runtime": None, "watts": 1, "solar_watts": None, "temperature": None}


class LastFailure(msgspec.Struct, frozen=True):
    """The job that failed last."""

    text: str = _NONE
    at: float | None = None

    @classmethod
    def of(cls, job: JobChange) -> LastFailure:
        """Return the failure of a job that has just ended."""
        return cls(f"{job.task} {job.id}: {job.error}", job.finished_at)


def snapshot(appliance: Appliance, failure: LastFailure) -> dict[str, JsonValue]:
    """Return the value of each entity by its key. An unknown value is None, which Home Assistant shows as unknown."""
    board = appliance.board
    power, totals = board.verdict(), appliance.outbox.totals
    running = [job for worker in board.workers() for job in worker.running]
    paused = power.state is PowerState.PAUSED or pause.current(appliance.config.layout.pause) is not None
    joules = sum(appliance.receipts.joules.values())
    free_bytes = board.free_bytes()
    return {
        "power_state": power.state.value,
        "power_reason": _text(power.reason),
        "power_until": _text(power.until),
        "resumes_at": _moment(power.resumes_at, to_s=60),  # rounded, because each report computes it again
        "paused": ON if paused else OFF,
        **_readings(power.readings),
        "energy": round(joules / 3600, 2),
        **{f"backlog_{klass}": count for klass, count in totals.backlog.items()},
        "running_job": _running(running),
        "progress": _progress(running),
        "last_failure": _text(failure.text),
        "last_failure_at": _moment(failure.at),
        "broker": ON if board.broker().state is not BrokerState.DOWN else OFF,
        "free_space": None if free_bytes is None else round(free_bytes / 1e9, 2),
    }


def reported(readings: Iterable[Reading]) -> set[str]:
    """Return the quantities that have a value in these readings."""
    return {each.what for each in readings if each.value is not None}


def _readings(readings: Iterable[Reading]) -> Mapping[str, JsonValue]:
    values: dict[str, list[float]] = {}
    for each in readings:
        if each.value is not None:
            values.setdefault(each.what, []).append(each.value)
    found: dict[str, JsonValue] = {
        what: round(choose(values[what]), _DIGITS[what]) if what in values else None for what, choose in _CHOICE.items()
    }
    found["supply"] = _flag(values.get("supply"), worst=min)
    alarms = [*values.get("undervoltage", ()), *values.get("throttled", ())]
    found["throttled"] = _flag(alarms, worst=max)
    return found


def _flag(values: list[float] | None, *, worst: Callable[[Iterable[float]], float]) -> JsonValue:
    if not values:
        return None
    return ON if worst(values) else OFF


def _running(jobs: list[RunningJob]) -> str:
    if len(jobs) > 1:
        return f"{len(jobs)} jobs"
    return _text(f"{jobs[0].task} {jobs[0].id}") or _NONE if jobs else _NONE


def _progress(jobs: list[RunningJob]) -> JsonValue:
    """Return the progress in percent of the oldest running job that reports progress, or None if none does."""
    reporting = [job for job in jobs if job.progress is not None and job.progress.total > 0]
    if not reporting:
        return None
    progress = min(reporting, key=lambda job: job.started_at).progress
    return None if progress is None else round(min(100.0, max(0.0, 100 * progress.done / progress.total)))


def _text(text: str) -> str | None:
    """Return the text as one line that Home Assistant accepts, or None if it is empty."""
    plain = " ".join(text.split())
    if not plain:
        return None
    return plain if len(plain) <= _LONGEST else f"{plain[: _LONGEST - 1]}…"


def _moment(at: float | None, *, to_s: int = 1) -> str | None:
    if at is None:
        return None
    try:
        return datetime.fromtimestamp(round(at / to_s) * to_s, UTC).isoformat()
    except (OverflowError, ValueError, OSError):  # the clock shows a year that `datetime` does not support
        return None
