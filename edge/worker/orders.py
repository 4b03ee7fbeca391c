"""Carries out the gateway's orders, which are files in `run/orders`.

A thread waits for them with inotify, because an order must also be carried out while a body occupies the main thread.
"""

from __future__ import annotations

import logging
import select
import signal
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from edge.core.layout import Layout
from edge.core.wakeup import Wakeup
from edge.core.watch import On, Watch
from edge.model import Failure, FailureCode, JobState, Result
from edge.results.attempts import AttemptsStore
from edge.results.orders import Order, Orders, parse
from edge.results.store import Results
from edge.results.uploads import Uploads
from edge.worker.api.checkpoint import forget
from edge.worker.flow.running import RunningJobs

logger = logging.getLogger(__name__)

#: Pause before an order that failed with a disk error is carried out again.
_AGAIN_S = 5.0
#: Changes that announce an order. The creation of a file is not among them. It would announce each new order twice, and
#: at the second time the first one has already ended the body.
_WRITTEN = On.MOVED_TO | On.ATTRIBUTES | On.WRITTEN


class OrderWatch:
    """Runs the thread that cancels and removes jobs and publishes results by order.

    The gateway removes an order once it sees the outcome. `start` and `stop` belong to the main thread.
    """

    def __init__(
        self,
        layout: Layout,
        *,
        results: Results,
        attempts: AttemptsStore,
        running: RunningJobs,
        interrupt: Callable[[str], None],
        reconsider: Callable[[], None],
    ) -> None:
        """Make the thread; `start` starts it.

        Args:
            layout: the folders of the board.
            results: the store in which results are published and removed.
            attempts: the records of earlier attempts; a removal deletes the job's record.
            running: the jobs that run in this worker.
            interrupt: ends the body of a job that runs here. Called in the thread.
            reconsider: called in the thread after a waiting job was cancelled.
        """
        self._layout = layout
        self._orders = Orders(layout)
        self._uploads = Uploads(layout)
        self._results, self._attempts = results, attempts
        self._running, self._interrupt, self._reconsider = running, interrupt, reconsider
        self._end = Wakeup()
        self._stopped = False
        self._again: set[tuple[Order, str]] = set()
        self._thread = threading.Thread(target=self._run, name="orders", daemon=True)

    def start(self) -> None:
        """Start the thread. It carries out the orders that exist already first. Raises OSError."""
        self._watch = Watch(
            self._made_folder(), on=_WRITTEN
        )  # made here and not in the thread: the folder may be removed before the thread runs
        self._thread.start()

    def stop(self) -> None:
        """End the thread and wait for it, at most 10 s."""
        self._stopped = True
        self._end.wake()
        if self._thread.ident is not None:
            self._thread.join(10.0)

    def _run(self) -> None:
        # Signals must go to the main thread, where they interrupt the system call in which a body waits.
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        with closing(self._watch) as watch:
            wanted = set(self._orders.standing())
            while not self._stopped:
                self._again.clear()
                for order, job_id in sorted(wanted):
                    self._carry_out(order, job_id)
                wanted = self._next(watch) | self._again

    def _next(self, watch: Watch) -> set[tuple[Order, str]]:
        """Block until there is an order, or until failed orders are due; return the new orders."""
        poll = select.poll()
        poll.register(watch, select.POLLIN)
        poll.register(self._end.fileno(), select.POLLIN)
        ready = {fd for fd, _ in poll.poll(_AGAIN_S * 1000 if self._again else None)}
        if watch.fileno() not in ready:
            return set()
        changes = watch.read()
        if changes.gone:
            try:
                watch.add(self._made_folder(), on=_WRITTEN)
            except OSError as err:
                logger.error(
                    "the folder of orders was removed and cannot be watched again: %s; this worker carries out no more "
                    "orders until its next start",
                    err,
                )
        if changes.lost:  # the kernel queues at most 16,384 events, and retention may order more removals at once
            return set(self._orders.standing())
        return {order for name in changes.names if (order := parse(name)) is not None}

    def _made_folder(self) -> Path:
        self._orders.folder.mkdir(parents=True, exist_ok=True)
        return self._orders.folder

    def _carry_out(self, order: Order, job_id: str) -> None:
        try:
            if order is Order.CANCEL:
                self.cancel(job_id)
            elif order is Order.FAIL:
                self._fail(job_id)
            elif order is Order.TAKE:
                self._uploads.publish(job_id, self._results)
            else:
                self._remove(job_id)
        except OSError as err:
            logger.error("cannot %s %s: %s; trying again", order, job_id, err)
            self._again.add((order, job_id))
        except Exception:
            logger.exception("cannot %s %s", order, job_id)

    def _fail(self, job_id: str) -> None:
        """Publish the failure of a job that can never run, unless it has a result. Raises OSError."""
        failure = self._orders.failure(job_id)
        if failure is None:
            return
        with self._running.locked(job_id) as runs:
            if not runs:
                self._results.publish(
                    Result(job_id, "", JobState.FAILED, failure=failure, finished_at=time.time(), attempts=0)
                )

    def cancel(self, job_id: str) -> None:
        """Interrupt the job if it runs here; else publish the result `cancelled`, unless it has one. Raises OSError."""
        with self._running.locked(job_id) as runs:
            if runs:
                self._interrupt(job_id)
                return
            failure = Failure(FailureCode.CANCELLED, "the job was cancelled before it ran")
            self._results.publish(
                Result(job_id, "", JobState.CANCELLED, failure=failure, finished_at=time.time(), attempts=0)
            )
        self._reconsider()  # the message of a parked job can be acknowledged now

    def _remove(self, job_id: str) -> None:
        self._results.remove(job_id)
        self._attempts.forget(job_id)
        forget(self._layout.checkpoints, job_id)
        logger.info("result of %s removed", job_id)
