"""Measures what ten readers of `/v1/events` cost the gateway at 100 jobs a second."""

from __future__ import annotations

import selectors
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from rich.table import Table

from tests.bench import meters
from tests.bench.figure import Bench, Figure
from tests.bench.sides.appliance import Appliance

_READERS = 10
_BATCH, _BATCHES_S = 10, 10  # 100 jobs/s
_FILL_JOBS = 4000  # with three events each, more events than the gateway keeps


def measure(bench: Bench) -> dict[str, float]:
    """Return the gateway's CPU and memory with ten readers, minus those without a reader."""
    appliance = Appliance(bench.folder / "events")
    try:
        (gateway,) = appliance.parts["gateway"]
        bench.say("events: 100 jobs/s without a reader")
        _jobs(appliance, min(bench.plan.idle_s, 3.0))  # so that late imports do not count for the readers
        alone = _load(appliance, gateway, bench.plan.idle_s)
        appliance.await_results(appliance.batch(min(_FILL_JOBS, bench.plan.jobs["batch"])))
        memory_alone = meters.pss_bytes(gateway)
        bench.say(f"events: 100 jobs/s with {_READERS} readers")
        with _readers(appliance.url) as counts:
            _jobs(appliance, min(bench.plan.idle_s, 3.0))
            before = sum(counts)
            read = _load(appliance, gateway, bench.plan.idle_s)
            events = sum(counts) - before
            appliance.await_results(appliance.batch(min(_FILL_JOBS, bench.plan.jobs["batch"])))
            time.sleep(1)
            memory_read = meters.pss_bytes(gateway)
        return {
            "readers": _READERS,
            "cpu_percent": round((read - alone) * 100, 2),
            "cpu_percent_alone": round(alone * 100, 2),
            "events_per_s_each": round(events / _READERS / bench.plan.idle_s, 1),
            "memory_mib": round((memory_read - memory_alone) / (1 << 20), 1),
        }
    finally:
        appliance.stop()


def _load(appliance: Appliance, gateway: int, seconds: float) -> float:
    """Return the share of a core that the gateway used while jobs came for `seconds`."""
    before, began = meters.cost(gateway), time.monotonic()
    _jobs(appliance, seconds)
    return (meters.cost(gateway) - before).cpu_s / (time.monotonic() - began)


def _jobs(appliance: Appliance, seconds: float) -> None:
    began = time.monotonic()
    for number in range(max(1, int(seconds * _BATCHES_S))):
        appliance.batch(_BATCH)
        time.sleep(max(0.0, began + (number + 1) / _BATCHES_S - time.monotonic()))


@contextmanager
def _readers(url: str) -> Iterator[list[int]]:
    """Run ten readers of all events; the list counts the job events that each has received."""
    counts = [0] * _READERS
    address = urlsplit(url)
    stop = threading.Event()
    with selectors.DefaultSelector() as selector:
        sockets = []
        for number in range(_READERS):
            link = socket.create_connection((address.hostname or "", address.port or 80))
            link.sendall(b"GET /v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            selector.register(link, selectors.EVENT_READ, number)
            sockets.append(link)

        def read() -> None:
            while not stop.is_set():
                for key, _ in selector.select(0.2):
                    link = key.fileobj
                    assert isinstance(link, socket.socket)
                    counts[key.data] += link.recv(1 << 18).count(b"event: job")

        thread = threading.Thread(target=read)
        thread.start()
        try:
            yield counts
        finally:
            stop.set()
            thread.join()
            for link in sockets:
                link.close()


def tables(found: dict[str, Any]) -> list[Table]:
    """Make a table of one line."""
    table = Table(
        "readers", "CPU % of a core, more", "CPU % alone", "events/s each", "memory MiB, more", title="events"
    )
    table.add_row(*map(str, found.values()))
    return [table]


FIGURE = Figure("events", "ten readers of events at 100 jobs/s", measure, tables)
