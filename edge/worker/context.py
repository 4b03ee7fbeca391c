"""What one worker process works with, made once at its start and handed to its parts."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from edge.config import Config
from edge.core import durable, notify
from edge.core.errors import UsageError
from edge.core.layout import Layout
from edge.core.wakeup import Wakeup
from edge.model import WorkerState
from edge.worker.executor.body import TaskContext
from edge.worker.orders import OrderWatch
from edge.worker.power.freeze import Freeze
from edge.worker.power.hold import Hold
from edge.worker.power.power_watcher import PowerWatcher
from edge.worker.process.control import Control, JobControl
from edge.worker.process.status import StatusFile
from edge.worker.process.watchdog import Watchdog
from edge.worker.runner import Runner

#: Exit code after a body that would not end: EX_TEMPFAIL, the supervisor starts the worker again.
STUBBORN_EXIT = 75


class WorkerContext:
    """Status, control, runner and orders of the worker `name`. Raises UsageError when the name is taken."""

    def __init__(
        self, app: Any, config: Config, name: str, *, celery: TaskContext, stop_loop: Callable[[], None]
    ) -> None:
        self._stop_loop = stop_loop
        self.config = config
        self.name = name
        self._locks = _claim(config.layout, name)
        # A child that a body forks may outlive this worker, and must not keep the next one from the name.
        os.register_at_fork(after_in_child=self._unlock)
        self.bell = Wakeup()
        self.later: Callable[[float, Callable[[], None]], object] = _no_loop
        self.status = StatusFile(config.layout, name, self._later)
        self.news = PowerWatcher(config.layout.power)
        self.freeze = Freeze(config, name) if config.worker.running_job == "freeze" else None
        self.control = Control(
            stop_grace_s=config.worker.stop_grace_s,
            on_stop=self._on_stop,
            on_stubborn=self._on_stubborn,
            on_lasting=self.status.flush,
            on_power=self._on_power,
            frozen_s=self._frozen_s,
        )
        self.hold = Hold(
            config, control=self.control, status=self.status, news=self.news, bell=self.bell, freeze=self.freeze
        )
        self.runner = Runner(
            app,
            config,
            name=name,
            status=self.status,
            control=self.control,
            hold=self.hold,
            bell=self.bell,
            later=self._later,
            celery=celery,
        )
        self.inbox = self.runner.inbox
        self.orders = OrderWatch(config.layout, self.runner, self.control)
        self.watchdog = Watchdog(bell=self.bell, control=self.control, busy=lambda: self.inbox.running_id is not None)

    def open(self) -> None:
        """Finish what an earlier worker left, say that we are here, take orders."""
        os.register_at_fork(after_in_child=Control.uninstall)
        self.control.install()
        self.runner.recover()
        self.status.say(state=WorkerState.DISCONNECTED)
        self.orders.start()
        self.watchdog.start()
        notify.ready()  # the broker may be hours away: that is no reason to start the worker again

    def close(self) -> None:
        """Take no more orders and say that we are gone."""
        notify.stopping()
        self.watchdog.stop()
        self.orders.stop()
        self.status.say(state=WorkerState.STOPPED, queues=(), job=None, parked=())
        with suppress(OSError):  # averages: the next worker learns them again
            self.runner.kinds.save()
        self.news.close()
        if self.freeze is not None:
            self.freeze.close()
        self._unlock()

    def _unlock(self) -> None:
        locks, self._locks = self._locks, ()
        for lock in locks:
            with suppress(OSError):
                os.close(lock)

    def _later(self, delay_s: float, call: Callable[[], None]) -> object:
        return self.later(delay_s, call)

    def _on_stop(self) -> None:
        self._stop_loop()
        self.bell.ring()

    def _on_power(self) -> None:
        self.hold.changed()

    def _frozen_s(self) -> float:
        return self.freeze.frozen_s if self.freeze is not None else 0.0

    def _on_stubborn(self, why: JobControl) -> None:
        """A body that swallows every exception has no other end than its process's."""
        self.runner.body.give_up(why)
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


def _no_loop(_delay: float, _call: Callable[[], None]) -> object:
    raise RuntimeError("the event loop does not run yet")
