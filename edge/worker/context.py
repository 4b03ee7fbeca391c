"""Builds the parts of one worker process at its start and connects them."""

from __future__ import annotations

import fcntl
import logging
import os
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from edge.catalog.commands import commands_of
from edge.config import Config
from edge.core import clock, durable, notify
from edge.core.errors import EdgeError, UsageError
from edge.core.layout import Layout
from edge.core.wakeup import Wakeup
from edge.model import RETIRED_EXIT, WorkerPool, WorkerState, WorkerStatus
from edge.results.inputs import Inputs
from edge.worker.attempt.admission import Kinds
from edge.worker.attempt.head import Head, hand_over, stores
from edge.worker.attempt.history import AttemptHistory
from edge.worker.attempt.inputs import job_inputs
from edge.worker.executor.job_maker import JobMaker
from edge.worker.executor.main_thread import MainThread, TaskContext
from edge.worker.executor.spawners import Spawners
from edge.worker.flow.batch import MOST, Batch
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
from edge.worker.process.head_backlog import HeadBacklogFile
from edge.worker.process.log_lines import LogLines, group_lines
from edge.worker.process.retirement import Retirement
from edge.worker.process.status import StatusFile
from edge.worker.process.watchdog import Watchdog

if TYPE_CHECKING:
    from edge.worker.executor.bodies import Bodies
    from edge.worker.executor.threads import Threads

logger = logging.getLogger(__name__)

Later = Callable[[float, Callable[[], None]], Timer]

#: Tombstones are kept for this multiple of `retention.keep_days`. No message is redelivered after that time.
_TOMBSTONES_KEPT = 3
#: Exit code after a body that did not end when asked. It is EX_TEMPFAIL, so the supervisor starts the worker again.
STUBBORN_EXIT = 75


class WorkerContext:
    """Holds all parts of one worker. The worker program makes it. It belongs to the main thread."""

    def __init__(
        self,
        app: Any,  # the Celery app; Celery ships no types
        config: Config,
        name: str,
        *,
        celery: TaskContext,
        later: Later,
        stop_loop: Callable[[], None],
    ) -> None:
        """Build the parts and take the locks of the worker `name`.

        Args:
            app: the Celery app.
            config: the configuration, with this worker's name in `worker.name`.
            name: the worker's name.
            celery: makes a task the current task of Celery while its body runs.
            later: schedules a call of the event loop: `later(delay_s, call)`.
            stop_loop: ends the event loop at its next turn.

        Raises:
            UsageError: a worker of this name runs already, or `edge restore` is running.
            ConfigError: a node's token cannot be read.
        """
        self._stop_loop, self._later, self._celery = stop_loop, later, celery
        self.config = config
        self._entry = config.own_worker
        threads = self._entry.pool is WorkerPool.THREADS
        self.name = name
        self._locks = _claim(config.layout, name)
        # A child that a body forks may outlive this worker. If it held the locks, the next worker could not start.
        os.register_at_fork(after_in_child=self._unlock)
        self.wakeup = Wakeup()
        self._bodies = None if not threads else _bodies(self.wakeup)
        self._head_backlog = _head_backlog(config)
        self.status = self._make_status()
        self._retirement = self._make_retirement()
        self.watcher = PowerWatcher(config.layout.power, retirement=self._retirement)
        frozen = config.worker.running_job == "freeze" and not threads
        self._freeze = Freeze(config, name) if frozen else None
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
            on_held=self._on_held,
        )
        self._results, attempts = stores(config, name)
        self._history = AttemptHistory(
            config.layout, name, attempts, early_cut_s=config.worker.early_cut_s, many=threads
        )
        self._averages = KindAverages(config.layout.kinds(name))
        gateway = hand_over(config)
        spawners = Spawners(
            gateway,
            kinds=app.edge_tasks,
            max_bytes=config.gateway.max_body_bytes,
            inputs=Inputs(config.layout.files),
            node=config.node.head_url is not None,
        )
        self._executor = self._make_executor(JobMaker(config, spawners))
        running = RunningJobs()
        # A frozen process commits nothing, so in this mode no ended job and no message may wait in this process.
        alone = self._freeze is not None
        self._batch = Batch(most=MOST if not alone else 1, on_take=self._release_lines)
        self._lines: list[LogLines] = []
        flow = Flow(
            config,
            name=name,
            results=self._results,
            history=self._history,
            averages=self._averages,
            kinds=lambda: Kinds(app.edge_tasks(), app.module_errors, frozenset(config.limits)),
            executor=self._executor,
            running=running,
            batch=self._batch,
            blocked=Blocked(config.root, status=self.status, later=later, on_due=self._retry),
            control=self.control,
            status=self.status,
            hand_over=gateway,
            inputs=job_inputs(config),
        )
        self.intake = Intake(
            watcher=self.watcher,
            flow=flow,
            executor=self._executor,
            settlement=Settlement(),
            pace=self._make_pace(alone=alone),
            averages=self._averages,
            history=self._history,
            retirement=self._retirement,
            yields=bool(config.scaled) and not threads,
            control=self.control,
            status=self.status,
            wakeup=self.wakeup,
            later=later,
            on_empty=self._on_empty,
        )
        self._orders = OrderWatch(
            config.layout,
            results=self._results,
            attempts=attempts,
            running=running,
            interrupt=self._executor.cancel,
            reconsider=self.intake.reconsider,
        )
        self._watchdog = Watchdog(wakeup=self.wakeup, control=self.control, busy=lambda: running.busy and not threads)

    def open(self) -> None:
        """Clean up after the previous worker, write the status and start the threads. Raises OSError."""
        os.register_at_fork(after_in_child=Control.uninstall)
        self.control.install()
        if self._executor.in_threads:
            self.wakeup.wake_on_signals()
        self._recover()
        self.status.update(state=WorkerState.DISCONNECTED)
        self._orders.start()
        self._watchdog.start()
        self._lines = group_lines(logging.getLogger().handlers, holds=lambda: bool(self._batch))
        for lines in self._lines:
            os.register_at_fork(after_in_child=lines.forget)
        if self._head_backlog is not None:
            self._head_backlog.start()
        # Ready before there is a connection: the broker may be away for hours, and a restart of the worker does not
        # help.
        notify.ready()

    def close(self) -> None:
        """Stop the threads, write the status `stopped` and release the locks."""
        notify.stopping()
        self._tell_head()
        self._release_lines()
        self._watchdog.stop()
        if self._head_backlog is not None:
            self._head_backlog.stop()
        self._orders.stop()
        self.status.update(state=WorkerState.STOPPED, queues=(), job=None, parked=())
        with suppress(OSError):  # the next worker learns the averages again
            self._averages.save()
        self.watcher.close()
        if self._freeze is not None:
            self._freeze.close()
        self._unlock()

    def wait(self, timeout_s: float) -> None:
        """Wait before the next try to connect, or until a stop. Bodies that run in threads are served meanwhile."""
        if not self._executor.in_threads:
            self.wakeup.wait(timeout_s)
            self._retire_if_idle()
            return
        until = time.monotonic() + timeout_s
        while (left_s := until - time.monotonic()) > 0 and not (self.control.stopping and not self._executor.busy):
            waits = (left_s, self._executor.due_in_s(), self.watcher.expires_in_s, self.status.flush_in_s)
            self.wakeup.wait(min(each for each in waits if each is not None), self.watcher.fileno())
            self.wakeup.clear()
            self.intake.serve_bodies()
            self.status.flush_due()
        self._retire_if_idle()

    def leave(self, exit_code: int) -> int:
        """Return the exit code of the process; call it last.

        While abandoned bodies still run, it ends the process at once and does not return, because the interpreter
        cannot shut down cleanly while their threads run.
        """
        if not isinstance(self._executor, MainThread) and self._executor.has_lost_threads:
            code = STUBBORN_EXIT if self._executor.exhausted else exit_code
            logging.shutdown()
            os._exit(code)
        return RETIRED_EXIT if self._retired and not exit_code else exit_code

    @property
    def _retired(self) -> bool:
        return self._retirement is not None and self._retirement.due and not self.control.stopping

    def _retire_if_idle(self) -> None:
        """Stop the event loop of a retired worker that has no body and no blocked attempt.

        It is called between two tries to connect.
        """
        self.watcher.look()
        if self._retired and not self._executor.busy and not self.intake.blocked:
            self._stop_loop()

    def _make_retirement(self) -> Retirement | None:
        """Return the check for retirement, or None if the governor does not scale this worker."""
        # The processes of a scaled entry are NAME-1 and on. A worker with the name of the entry was started by hand.
        if not self._entry.scaled or self.name == self._entry.name:
            return None
        self.config.layout.scaling.parent.mkdir(parents=True, exist_ok=True)
        return Retirement(self.config.layout, entry=self._entry.name, worker=self.name, on_change=self.wakeup.wake)

    def _make_status(self) -> StatusFile:
        if self._bodies is None:
            return StatusFile(self.config.layout, self.name, self._later, on_write=self._on_status)
        from edge.worker.process.threads_status import ThreadsStatus

        return ThreadsStatus(
            self.config.layout,
            self.name,
            self._later,
            jobs=self._bodies.running_jobs,
            slots=self._entry.bodies,
            on_write=self._on_status,
        )

    def _release_lines(self) -> None:
        for lines in self._lines:
            lines.release()

    def _on_status(self, status: WorkerStatus) -> None:
        if self._head_backlog is not None:
            self._head_backlog.note(status)

    def _make_executor(self, jobs: JobMaker) -> MainThread | Threads:
        if self._bodies is not None:
            from edge.worker.executor.threads import Threads

            return Threads(
                self.config,
                name=self.name,
                concurrency=self._entry.bodies,
                history=self._history,
                control=self.control,
                status=self.status,
                bodies=self._bodies,
                wakeup=self.wakeup,
                celery=self._celery,
                jobs=jobs,
            )
        return MainThread(
            self.config,
            name=self.name,
            results=self._results,
            history=self._history,
            status=self.status,
            control=self.control,
            hold=self._hold,
            wakeup=self.wakeup,
            celery=self._celery,
            jobs=jobs,
        )

    def _make_pace(self, *, alone: bool) -> Pace:
        if self._executor.in_threads:
            return Pace(steady=self._entry.bodies)
        return Pace(most=ONE) if alone else Pace()

    def _recover(self) -> None:
        """Clean up what a crash of the previous worker left. Raises OSError."""
        if commands_of(self.config):
            from edge.worker.command.shared import clear  # loaded only if the owner allows programs

            clear(self.config)
        keep_s = _TOMBSTONES_KEPT * self.config.retention.keep_days * 86_400
        now = clock.vouched_now()
        self._results.recover(forget_before=None if now is None else now - keep_s)
        self._history.recover()
        with suppress(OSError):  # a node's head may be unreachable; then the next start tidies up
            self._history.tidy(self._results.has)

    def _unlock(self) -> None:
        locks, self._locks = self._locks, ()
        for lock in locks:
            with suppress(OSError):
                os.close(lock)

    def _on_stop(self) -> None:
        if not (self._executor.in_threads and self._executor.busy):
            self._stop_loop()
        self.wakeup.wake()

    def _on_empty(self) -> None:
        self._stop_loop()

    def _tell_head(self) -> None:
        """Tell the head when this node will be awake again, if the node is about to sleep. An error is only logged."""
        report = self.watcher.status
        if self.config.node.head_url is None or report.code != "sleep" or report.resumes_at is None:
            return
        try:
            Head(self.config.node).away(report.resumes_at)
        except (OSError, EdgeError) as err:
            logger.warning("cannot tell the head that this node will sleep: %s", err)

    def _on_power(self) -> None:
        self._hold.changed()

    def _on_lasting(self) -> None:
        self._release_lines()
        self.status.flush()
        self.intake.commit_and_give_back()
        self._hold.changed()  # the intake may have read a new power report, and the body must know it too

    def _on_held(self) -> None:
        self.intake.commit_and_give_back()

    def _retry(self) -> None:
        self.intake.retry()

    def _frozen_s(self) -> float:
        return self._freeze.frozen_s if self._freeze is not None else 0.0

    def _on_stubborn(self, why: JobControl) -> None:
        """End the process, because a body that catches every exception cannot be ended otherwise."""
        if isinstance(self._executor, MainThread):
            self._executor.give_up(why)
        os._exit(STUBBORN_EXIT)


def _head_backlog(config: Config) -> HeadBacklogFile | None:
    """Return the writer of the head's backlog, or None if this worker does not ask for it. Raises ConfigError."""
    return HeadBacklogFile(config, ask=Head(config.node).backlog) if config.asks_head else None


def _bodies(wakeup: Wakeup) -> Bodies:
    """Return an empty collection of bodies for a worker of threads. A worker of `main` does not load the module."""
    from edge.worker.executor.bodies import Bodies

    return Bodies(on_change=wakeup.wake)


def _claim(layout: Layout, name: str) -> tuple[int, ...]:
    """Take the locks of this worker: a shared lock on the state root, and the lock of the worker's name.

    Returns:
        The descriptors that hold the locks.

    Raises:
        UsageError: a worker of this name runs already, or `edge restore` is running.
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
            f"worker.name = {name!r}: a worker of that name runs here already; set another name (EDGE_WORKER_NAME)"
        ) from err
    return fd, root
