"""What one worker process works with, made once at its start and handed to its parts."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from edge.config import Config
from edge.core import clock, durable, notify
from edge.core.errors import UsageError
from edge.core.layout import Layout
from edge.core.wakeup import Wakeup
from edge.model import WorkerState
from edge.worker.attempt.admission import Kinds
from edge.worker.attempt.head import stores
from edge.worker.attempt.history import AttemptHistory
from edge.worker.executor.main_thread import MainThread, TaskContext
from edge.worker.flow.batch import Batch
from edge.worker.flow.blocked import Blocked
from edge.worker.flow.flow import Flow
from edge.worker.flow.running import RunningJobs
from edge.worker.flow.settlement import Settlement
from edge.worker.intake.intake import Intake, Timer
from edge.worker.intake.pace import ONE, Pace
from edge.worker.orders import OrderWatch
from edge.worker.power.feasibility import KindAverages
from edge.worker.power.freeze import Freeze
from edge.worker.power.hold import Hold
from edge.worker.power.power_watcher import PowerWatcher
from edge.worker.process.control import Control, JobControl
from edge.worker.process.status import StatusFile
from edge.worker.process.watchdog import Watchdog

Later = Callable[[float, Callable[[], None]], Timer]

_TOMBSTONES_KEPT = 3  # times `retention.keep_days`: no message comes back that late
#: Exit code after a body that would not end: EX_TEMPFAIL, the supervisor starts the worker again.
STUBBORN_EXIT = 75


class WorkerContext:
    """All parts of the worker `name`, put together. Raises UsageError when the name is taken."""

    def __init__(
        self,
        app: Any,  # Celery's, which has no types
        config: Config,
        name: str,
        *,
        celery: TaskContext,
        later: Later,
        stop_loop: Callable[[], None],
    ) -> None:
        """`later(delay_s, call)` and `stop_loop` are the event loop's."""
        self._stop_loop = stop_loop
        self.config = config
        self.name = name
        self._locks = _claim(config.layout, name)
        # A child that a body forks may outlive this worker, and must not keep the next one from the name.
        os.register_at_fork(after_in_child=self._unlock)
        self.wakeup = Wakeup()
        self.status = StatusFile(config.layout, name, later)
        self.watcher = PowerWatcher(config.layout.power)
        self._freeze = Freeze(config, name) if config.worker.running_job == "freeze" else None
        self.control = Control(
            stop_grace_s=config.worker.stop_grace_s,
            on_stop=self._on_stop,
            on_stubborn=self._on_stubborn,
            on_lasting=self._on_lasting,
            on_power=self._on_power,
            frozen_s=self._frozen_s,
        )
        self._hold = Hold(
            config,
            control=self.control,
            status=self.status,
            watcher=self.watcher,
            wakeup=self.wakeup,
            freeze=self._freeze,
            on_held=self._tend,
        )
        self._results, attempts = stores(config, name)
        self._history = AttemptHistory(config.layout, name, attempts, early_cut_s=config.worker.early_cut_s)
        self._averages = KindAverages(config.layout.kinds(name))
        self._executor = MainThread(
            config,
            name=name,
            results=self._results,
            history=self._history,
            status=self.status,
            control=self.control,
            hold=self._hold,
            wakeup=self.wakeup,
            celery=celery,
        )
        running = RunningJobs()
        # A frozen process commits nothing: in this mode each job is committed by itself, and nothing waits in hand.
        alone = self._freeze is not None
        flow = Flow(
            config,
            name=name,
            results=self._results,
            history=self._history,
            averages=self._averages,
            kinds=lambda: Kinds(app.edge_tasks(), app.module_errors),
            executor=self._executor,
            running=running,
            batch=Batch(most=1) if alone else Batch(),
            blocked=Blocked(config.root, status=self.status, later=later, on_due=self._retry),
            control=self.control,
            status=self.status,
        )
        self.intake = Intake(
            watcher=self.watcher,
            flow=flow,
            executor=self._executor,
            settlement=Settlement(),
            pace=Pace(most=ONE) if alone else Pace(),
            averages=self._averages,
            history=self._history,
            control=self.control,
            status=self.status,
            wakeup=self.wakeup,
            later=later,
        )
        self._orders = OrderWatch(
            config.layout,
            results=self._results,
            attempts=attempts,
            running=running,
            interrupt=self._executor.cancel,
            reconsider=self.intake.reconsider,
        )
        self._watchdog = Watchdog(wakeup=self.wakeup, control=self.control, busy=lambda: running.busy)

    def open(self) -> None:
        """Finish what an earlier worker left, say that we are here, take orders."""
        os.register_at_fork(after_in_child=Control.uninstall)
        self.control.install()
        self._recover()
        self.status.say(state=WorkerState.DISCONNECTED)
        self._orders.start()
        self._watchdog.start()
        notify.ready()  # the broker may be hours away: that is no reason to start the worker again

    def close(self) -> None:
        """Take no more orders and say that we are gone."""
        notify.stopping()
        self._watchdog.stop()
        self._orders.stop()
        self.status.say(state=WorkerState.STOPPED, queues=(), job=None, parked=())
        with suppress(OSError):  # averages: the next worker learns them again
            self._averages.save()
        self.watcher.close()
        if self._freeze is not None:
            self._freeze.close()
        self._unlock()

    def _recover(self) -> None:
        """Finish what a crash left half done. Raises OSError."""
        keep_s = _TOMBSTONES_KEPT * self.config.retention.keep_days * 86_400
        now = clock.vouched_now()
        self._results.recover(forget_before=None if now is None else now - keep_s)
        self._history.recover()
        with suppress(OSError):  # a head that is away: then at the next start
            self._history.tidy(self._results.has)

    def _unlock(self) -> None:
        locks, self._locks = self._locks, ()
        for lock in locks:
            with suppress(OSError):
                os.close(lock)

    def _on_stop(self) -> None:
        self._stop_loop()
        self.wakeup.ring()

    def _on_power(self) -> None:
        self._hold.changed()

    def _on_lasting(self) -> None:
        self.status.flush()
        self.intake.tend()
        self._hold.changed()  # the intake may have taken in what was meant for the body, too

    def _tend(self) -> None:
        self.intake.tend()

    def _retry(self) -> None:
        self.intake.retry()

    def _frozen_s(self) -> float:
        return self._freeze.frozen_s if self._freeze is not None else 0.0

    def _on_stubborn(self, why: JobControl) -> None:
        """A body that swallows every exception has no other end than its process's."""
        self._executor.give_up(why)
        os._exit(STUBBORN_EXIT)


def _claim(layout: Layout, name: str) -> tuple[int, ...]:
    """Locks held while the process lives: the state root, shared with other workers, and the worker's name.

    Raises UsageError when the name is taken, or a restore is at work.
    """
    layout.run.mkdir(parents=True, exist_ok=True)
    durable.make_folder(layout.root)
    root = os.open(layout.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(root, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as err:
        os.close(root)
        raise UsageError(f"`edge restore` is at work on {layout.root}; start the worker when it has ended") from err
    fd = os.open(layout.run / f"worker-{name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as err:
        for each in (fd, root):
            os.close(each)
        raise UsageError(
            f"worker.name = {name!r}: a worker of that name runs here already; give this one another (EDGE_WORKER_NAME)"
        ) from err
    return fd, root
