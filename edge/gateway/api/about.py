"""The routes about the board itself: tasks, status, health, metrics."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from http import HTTPStatus

import msgspec
from aiohttp import web

from edge import __version__
from edge.catalog.catalogue import TaskInfo
from edge.gateway.http.route import JSON, Call
from edge.gateway.service import Appliance
from edge.wire import BrokerState, Health, HealthView, StatusView, TaskList, TaskView

_LITTLE_BYTES = 64 << 20
_encode = msgspec.json.Encoder().encode


class BoardRoutes:
    """Handles the requests about the board itself. Runs on the event loop."""

    def __init__(self, appliance: Appliance) -> None:
        self._appliance = appliance
        self._scrape: Callable[[], web.Response] | None = None

    async def tasks(self, _call: Call) -> web.StreamResponse:
        """Answer with the kinds of job. Raises Busy if they have not been read yet."""
        catalogue = self._appliance.kinds.current
        kinds = (task_view(kind) for _, kind in sorted(catalogue.tasks.items()))
        return web.Response(body=_encode(TaskList(tuple(kinds), errors=dict(catalogue.errors))), content_type=JSON)

    async def status(self, _call: Call) -> web.StreamResponse:
        """Answer with the state of the board."""
        appliance = self._appliance
        kinds = appliance.kinds
        view = StatusView(
            version=__version__,
            broker=appliance.board.broker(),
            power=appliance.board.power(),
            workers=tuple(appliance.board.workers()),
            jobs={state.value: count for state, count in appliance.counts().items()},
            tasks=len(kinds.current.tasks) if kinds.readable else 0,
            task_errors=dict(kinds.current.errors) if kinds.readable else {"*": kinds.error},
            host=platform.node(),
            started_at=appliance.started_at,
            at=time.time(),
            free_bytes=appliance.board.free_bytes(),
            warnings=tuple(appliance.warnings()),
            scaling=appliance.board.scaling(),
            unserved=appliance.unserved(),
            forecast=appliance.board.forecast(),
            away=appliance.away.now(),
            awake_at=appliance.sleep.wake_at if appliance.sleep is not None else None,
        )
        return web.Response(body=_encode(view), content_type=JSON)

    async def healthz(self, _call: Call) -> web.StreamResponse:
        """Answer 200 if jobs can be accepted, or else 503. The body has the reason for each fault."""
        failing, degraded = [], []
        if not self._appliance.kinds.readable:
            failing.append("the tasks cannot be read")
        if self._appliance.fault.why:
            failing.append("the ledger could not be written")
        if self._appliance.board.broker().state is not BrokerState.CONNECTED:
            degraded.append("the broker takes no jobs now; they are kept in the ledger")
        free_bytes = self._appliance.board.free_bytes()
        if free_bytes is not None and free_bytes < _LITTLE_BYTES:
            degraded.append(f"only {free_bytes >> 20} MiB are free")
        health = Health.FAILING if failing else Health.DEGRADED if degraded else Health.OK
        return web.Response(
            status=HTTPStatus.SERVICE_UNAVAILABLE if failing else HTTPStatus.OK,
            body=_encode(HealthView(health, tuple(failing + degraded))),
            content_type=JSON,
        )

    async def metrics(self, _call: Call) -> web.StreamResponse:
        """Answer with metrics in Prometheus' text format."""
        if self._scrape is None:
            # Imported at the first scrape: it takes 4 MB of memory, which a board without scrapes does not need.
            from edge.gateway.api.metrics import Metrics

            self._scrape = Metrics(self._appliance).response
        return self._scrape()


def task_view(kind: TaskInfo) -> TaskView:
    """Return a kind of job as the record that answers carry."""
    return TaskView(**{name: getattr(kind, name) for name in TaskView.__struct_fields__})
