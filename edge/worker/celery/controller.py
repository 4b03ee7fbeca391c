"""The worker program: Celery's, but with the solo pool, without periodic wake-ups, and with other signal handlers."""

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

#: Longest sleep of the event loop. Kombu's loop wakes up once a second, which costs an idle board power.
IDLE_S = 3600.0


def _stop_loop() -> None:
    """End Celery's loop at its next turn, with exit code 0."""
    celery_state.should_stop = os.EX_OK


class SleepyHub(Hub):  # type: ignore[misc]
    """Kombu's event loop without the wake-up each second. Only file descriptors and timers wake it."""

    def fire_timers(
        self, *_delays: object, propagate: tuple[type[BaseException], ...] = (), **_options: object
    ) -> float:
        """Run the due timers and return how many seconds to sleep."""
        delay: float = super().fire_timers(IDLE_S, IDLE_S, propagate=propagate)
        # A callback may have used call_soon. Kombu looks for such calls only after the sleep, so it must not sleep now.
        return 0 if self._ready else delay


class Worker(CeleryWorker):  # type: ignore[misc]
    """The program of `celery -A edge.worker worker` and `edge worker`. Belongs to the main thread.

    Bad input ends it with one line and exit code 2.
    """

    class Blueprint(CeleryBlueprint):  # type: ignore[misc]
        """The steps of the program: no beat, no autoscaler, no state file."""

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
        except EdgeError as err:  # both commands show one line and no traceback
            sys.stderr.write(f"worker: {err}\n")
            raise SystemExit(err.exit_code) from err

    def on_before_init(self, **kwargs: object) -> None:
        """Refuse options that cannot work here, then build the parts and take the worker's locks. Raises EdgeError."""
        pool = concurrency.get_implementation(kwargs.get("pool_cls") or kwargs.get("pool") or "solo")
        if pool is not TaskPool:
            raise UsageError(f"pool = {pool.__module__.rpartition('.')[2]!r}: this worker runs with the solo pool only")
        for option in ("beat", "autoscale"):
            if kwargs.get(option):
                raise UsageError(f"--{option}: not for this worker, which is one process and keeps no schedule")
        super().on_before_init(**kwargs)
        config = self.app.edge_config
        node_name = nodesplit(self.hostname)[0]
        if node_name not in (None, "", "celery"):  # `-n NAME@...` chooses the entry of `workers`
            config = replace(config, worker=replace(config.worker, name=node_name))
        hub = SleepyHub()
        set_event_loop(hub)
        self.context = WorkerContext(
            self.app, config, config.worker.name, celery=request, later=hub.call_later, stop_loop=_stop_loop
        )
        self.app.module_errors = load_tasks(self.app.edge_loaded)

    def setup_queues(self, include: object, exclude: object = None) -> None:
        """Select the queues that `-Q` names, or else the queues of this worker's entry in `workers`."""
        super().setup_queues(include or list(queues_of(self.context.config.own_worker)), exclude)

    def setup_instance(self, **kwargs: object) -> None:
        """Make the steps, and use Celery's timer in the event loop."""
        super().setup_instance(**kwargs)
        self.timer.max_interval = IDLE_S
        # Celery's loop fires timers only if it has any. So there is always one, which never comes due.
        self.timer.call_at(time.monotonic() + 1e9, lambda: None)
        self.hub.timer = self.timer

    def start(self) -> None:
        """Run until the worker is stopped."""
        for module, error in self.app.module_errors.items():
            logger.error("tasks of module %s are not available: %s", module, error)
        self.context.open()
        try:
            super().start()
        finally:
            self.context.close()
        self.exitcode: int = self.context.leave(self.exitcode or os.EX_OK)

    def install_platform_tweaks(self, _worker: object) -> None:
        """Install the signal handlers of `Control`. Those of Celery would stop the process in the middle of a body."""
        self.context.control.install()
