"""The worker program: Celery's, with one pool, a loop that may sleep, and our signals."""

from __future__ import annotations

import os
import sys
import time

from celery import concurrency
from celery.apps.worker import Worker as CeleryWorker
from celery.bootsteps import Blueprint as CeleryBlueprint
from celery.concurrency.solo import TaskPool
from celery.utils.log import get_logger
from celery.utils.nodenames import nodesplit
from celery.worker import state as celery_state
from kombu.asynchronous import Hub, set_event_loop
from msgspec.structs import replace

from edge.broker.topology import queues_of
from edge.core.errors import EdgeError, UsageError
from edge.worker.celery import request
from edge.worker.celery.modules import load_tasks
from edge.worker.context import WorkerContext

logger = get_logger(__name__)

#: How long the loop sleeps when nothing happens. Kombu's own sleeps at most 1 s, which wakes a board for nothing.
IDLE_S = 3600.0


def _stop_loop() -> None:
    """Let Celery's loop end with exit code 0 at its next turn."""
    celery_state.should_stop = os.EX_OK


class SleepyHub(Hub):  # type: ignore[misc]
    """Kombu's loop without its one wake-up a second; everything that should wake it is a file descriptor."""

    def fire_timers(
        self, *_delays: object, propagate: tuple[type[BaseException], ...] = (), **_options: object
    ) -> float:
        """Run what is due, and say how long to sleep."""
        delay: float = super().fire_timers(IDLE_S, IDLE_S, propagate=propagate)
        # What a callback put off with call_soon waits for the next round: kombu looks only after the sleep.
        return 0 if self._ready else delay


class Worker(CeleryWorker):  # type: ignore[misc]
    """`celery -A edge.worker worker` and `edge worker` both run this. Exits 2 with one line on a person's mistake."""

    class Blueprint(CeleryBlueprint):  # type: ignore[misc]
        """No beat, no autoscaler, no state file: one process, one job at a time, results as files."""

        name = "Worker"
        default_steps = frozenset(
            {
                "celery.worker.components:Hub",
                "celery.worker.components:Pool",
                "celery.worker.components:Timer",
                "celery.worker.components:Consumer",
            }
        )

    context: WorkerContext

    def __init__(self, *args: object, **kwargs: object) -> None:
        try:
            super().__init__(*args, **kwargs)
        except EdgeError as err:  # both commands that make a worker end here: one line, no traceback
            sys.stderr.write(f"worker: {err}\n")
            raise SystemExit(err.exit_code) from err

    def on_before_init(self, **kwargs: object) -> None:
        """Refuse what cannot work here, then take the worker's name."""
        pool = concurrency.get_implementation(kwargs.get("pool_cls") or kwargs.get("pool") or "solo")
        if pool is not TaskPool:
            raise UsageError(f"pool = {pool.__module__.rpartition('.')[2]!r}: this worker runs with the solo pool only")
        for option in ("beat", "autoscale"):
            if kwargs.get(option):
                raise UsageError(f"--{option}: not for this worker, which is one process and keeps no schedule")
        super().on_before_init(**kwargs)
        config = self.app.edge_config
        given = nodesplit(self.hostname)[0]
        if given not in (None, "", "celery"):  # the entry of that name in `workers` is this worker's
            config = replace(config, worker=replace(config.worker, name=given))
        hub = SleepyHub()
        set_event_loop(hub)
        self.context = WorkerContext(
            self.app, config, config.worker.name, celery=request, later=hub.call_later, stop_loop=_stop_loop
        )
        self.app.module_errors = load_tasks(self.app.edge_loaded)

    def setup_queues(self, include: object, exclude: object = None) -> None:
        """Take the queues that `-Q` names, else those of this worker's entry in `workers`."""
        super().setup_queues(include or list(queues_of(self.context.config.own_worker)), exclude)

    def setup_instance(self, **kwargs: object) -> None:
        """Make the steps; Celery's step for the loop takes ours."""
        super().setup_instance(**kwargs)
        self.timer.max_interval = IDLE_S
        # The loop looks at its timers only while there are any: one that never comes due.
        self.timer.call_at(time.monotonic() + 1e9, lambda: None)
        self.hub.timer = self.timer

    def start(self) -> None:
        """Run until stopped."""
        for module, error in self.app.module_errors.items():
            logger.error("tasks of module %s are not available: %s", module, error)
        self.context.open()
        try:
            super().start()
        finally:
            self.context.close()
        self.exitcode: int = self.context.leave(self.exitcode or os.EX_OK)

    def install_platform_tweaks(self, _worker: object) -> None:
        """Ours in place of Celery's signal handlers: they would stop the process in the middle of a body."""
        self.context.control.install()
