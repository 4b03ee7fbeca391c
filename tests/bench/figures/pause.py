"""Measures how fast a worker reacts when power falls, both an idle worker and one whose window is full.

Two times are measured from the change of the source's file: until the worker's status says that its queue is closed,
and until the last body has begun, which the bodies record themselves. No body may begin after the status says closed;
those that do are counted.
"""

from __future__ import annotations

import select
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
from rich.table import Table

from edge.core.watch import Watch
from edge.model import WorkerStatus
from edge.power.simulate import simulate
from tests.bench.figure import Bench, Figure
from tests.bench.sides.appliance import Appliance
from tests.bench.spread import spread_ms
from tests.bench.starts import Starts
from tests.bench.waiting import wait_for

_NORMAL = "edge.normal"
_SPOKEN_S = 30.0
_AFTER_S = 0.15  # how long to watch for bodies that begin after the status says closed
_BACKLOG = 1000


class Dips:
    """Changes the simulated power of a running appliance, and awaits the worker's reaction."""

    def __init__(self, appliance: Appliance, watch: Watch) -> None:
        self._appliance = appliance
        self._config = appliance.config
        self._status = self._config.layout.worker(self._config.worker.name)
        self._watch = watch
        self.await_status(consumed=True)

    def play(self, state: str) -> tuple[float, float]:
        """Change the source's file and await the worker; return when each happened, in monotonic seconds."""
        began = time.monotonic()
        simulate(self._config.power, self._config.layout, state)
        self.await_status(consumed=state == "surplus")
        return began, time.monotonic()

    def await_status(self, *, consumed: bool) -> None:
        """Return when the worker's status says that the queue is consumed, or not consumed; raise TimeoutError late."""
        deadline = time.monotonic() + _SPOKEN_S
        while self._consumed() is not consumed:
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                raise TimeoutError(f"the worker does not {'open' if consumed else 'close'} its queue")
            select.select([self._watch], [], [], left_s)
            self._watch.read()

    def _consumed(self) -> bool:
        queues = msgspec.json.decode(self._status.read_bytes(), type=WorkerStatus).queues
        return any(name.startswith(_NORMAL) for name in queues)


def measure(bench: Bench) -> dict[str, Any]:
    """Measure with an idle worker first, then with a full window."""
    with _watched(bench.appliance) as watch:
        dips = Dips(bench.appliance, watch)
        bench.say(f"pause: {bench.plan.dips} dips, worker idle")
        found = idle(dips, bench.plan.dips)
        bench.say(f"pause: {bench.plan.dips} dips, window full")
        return found | busy(bench.appliance, dips, bench.starts, bench.plan.dips, bench.plan.window)


def idle(dips: Dips, count: int) -> dict[str, Any]:
    """Measure while no job runs."""
    closed, opened = [], []
    for _ in range(count):
        began, reacted = dips.play("low")
        closed.append(reacted - began)
        began, reacted = dips.play("surplus")
        opened.append(reacted - began)
    return {"idle_closed": spread_ms(closed), "idle_opened": spread_ms(opened)}


def busy(appliance: Appliance, dips: Dips, starts: Starts, count: int, window: int) -> dict[str, Any]:
    """Measure while short bodies follow each other, and more jobs wait than a window holds."""
    closed, last_start = [], []
    submitted = started_after = 0
    for _ in range(count):
        dips.play("low")
        if submitted - starts.count < _BACKLOG // 2 + window:
            submitted += len(appliance.batch(_BACKLOG, "stamp"))
            appliance.await_handed_over()
        begun = starts.count
        dips.play("surplus")
        wait_for(lambda begun=begun: starts.count >= begun + window, seconds=60, why="bodies after the power rose")  # type: ignore[misc]
        first = starts.count
        began, reacted = dips.play("low")
        time.sleep(_AFTER_S)
        begins = starts.since(first)
        closed.append(reacted - began)
        last_start.append(max(0.0, max(begins, default=began) - began))
        started_after += sum(at > reacted for at in begins)
    dips.play("surplus")
    return {
        "full_closed": spread_ms(closed),
        "full_last_start": spread_ms(last_start),
        "full_started_after": started_after,
        "dips": count,
    }


@contextmanager
def _watched(appliance: Appliance) -> Iterator[Watch]:
    watch = Watch(appliance.config.run)
    try:
        yield watch
    finally:
        watch.close()


def tables(found: dict[str, Any]) -> list[Table]:
    """Make a table with a line for each measured time."""
    title = f"from the change of the source, {found['dips']} dips; begun after closing: {found['full_started_after']}"
    table = Table("until", "p50 ms", "p99 ms", "max ms", title=title)
    for key, text in (
        ("idle_closed", "queue closed, worker idle"),
        ("idle_opened", "queue open again, worker idle"),
        ("full_closed", "queue closed, window full"),
        ("full_last_start", "last body begun, window full"),
    ):
        table.add_row(text, *map(str, found[key].values()))
    return [table]


FIGURE = Figure("pause", "power falls, the worker stops", measure, tables, quick_s=15.0)
