"""Reads the state of the board for a request: power, workers, free space on the card.

Nothing is watched here. A file in `/run` is read only on request, so a job that reports its progress four times a
second does not wake up the gateway.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from edge.broker.publisher import BrokerLink, BrokerLinkState
from edge.broker.routes import Routes
from edge.core import stored
from edge.core.host import boot_id, process_alive, process_stopped
from edge.core.layout import Layout
from edge.core.text import duration
from edge.gateway.background.outbox import Outbox
from edge.gateway.background.starts import StartTimes
from edge.ledger.rows import JobRow
from edge.model import FrozenJob, PowerStatus, RunningJob, ScaledWorkers, WorkerState, WorkerStatus
from edge.power import status
from edge.power.workers.decided import decided
from edge.wire import BrokerState, BrokerView, ForecastView

_BROKER = {
    BrokerLinkState.UP: BrokerState.CONNECTED,
    BrokerLinkState.BLOCKED: BrokerState.BLOCKED,
    BrokerLinkState.DOWN: BrokerState.DOWN,
}

_UNREADABLE = (OSError, stored.BadContent)
#: Nanoseconds. Longer than one step of the clock from which the kernel takes the modification time of a folder.
_TICK_NS = 100_000_000


class _Written(msgspec.Struct, frozen=True):
    """The status file of a worker, and the file of its freezer, or None if there is none."""

    worker: WorkerStatus
    frozen: FrozenJob | None


class Board:
    """Reads the status files of the other processes. A method reads few files. Belongs to the gateway's loop."""

    def __init__(self, layout: Layout, outbox: Outbox) -> None:
        self._layout, self._outbox = layout, outbox
        self._power = status.Reader(layout.power)
        self._seen_ns = -1
        self._written: tuple[_Written, ...] = ()
        #: Estimates when waiting jobs will start.
        self.starts = StartTimes(
            layout, verdict=self.verdict, rows=outbox.open_rows, bodies=lambda: max(1, len(self.workers()))
        )

    def forecast(self) -> ForecastView | None:
        """Return how accurate forecast and reported start times were, or None if the board does not look ahead."""
        seen, starts = self.starts.ahead(), self.starts.memory
        if seen is None:
            return None
        rate = starts.hit_rate
        return ForecastView(
            days=seen.scores.days,
            error_wh=seen.scores.error_wh,
            as_yesterday_wh=seen.scores.as_yesterday_wh,
            outside_wh=seen.scores.outside_wh,
            below_p10=seen.scores.below_p10,
            starts=round(starts.count),
            starts_held=None if rate is None else round(rate, 3),
        )

    def power(self) -> PowerStatus:
        """Return the governor's report, with the present age of each reading.

        If no report is valid, the state is `unknown`, and its reason says why.
        """
        return status.aged(self.verdict())

    def verdict(self) -> PowerStatus:
        """Return the same report as `power`, but with the ages that the readings had when the governor wrote it.

        For callers that do not use the readings.
        """
        return self._power.read()

    def workers(self) -> list[WorkerStatus]:
        """Return the status of each worker whose process is alive, sorted by name.

        The file of a worker whose process has ended is ignored.
        """
        return [
            self._stopped(_frozen(written))
            for written in self._statuses()
            if written.worker.boot_id == boot_id() and process_alive(written.worker.pid)
        ]

    def _statuses(self) -> tuple[_Written, ...]:
        """Return the contents of the workers' files.

        The files are read again only after a file was renamed into their folder or removed from it. Each status is
        written by such a rename.
        """
        now_ns = time.time_ns()  # before `stat`: if this process pauses in between, a new change must not seem old
        try:
            changed_ns = os.stat(self._layout.run).st_mtime_ns  # noqa: PTH116 - once a submit
        except OSError:
            changed_ns = -1
        if changed_ns != self._seen_ns or changed_ns < 0:
            self._written = tuple(self._read())
            # Two changes within one tick of the kernel's clock have the same time. After a change that is this new,
            # the files are read again at the next call.
            settled = now_ns - changed_ns > _TICK_NS
            self._seen_ns = changed_ns if settled else -1
        return self._written

    def _read(self) -> Iterator[_Written]:
        try:
            names = sorted(os.listdir(self._layout.run))  # noqa: PTH208
        except OSError:
            return
        for name in names:
            if not name.startswith("worker-"):
                continue
            try:
                worker = stored.read(self._layout.run / name, WorkerStatus)
            except _UNREADABLE:
                continue  # removed meanwhile, or not a status
            if worker.state is not WorkerState.STOPPED:
                frozen = self._layout.frozen(worker.name)
                yield _Written(worker, _read_frozen(frozen) if frozen.name in names else None)

    @staticmethod
    def _stopped(worker: WorkerStatus) -> WorkerStatus:
        """Return `worker`, with a reason if a signal has stopped its process.

        A stopped worker cannot report this: its file still holds the last status from before the stop.
        """
        if worker.state is WorkerState.HELD or not process_stopped(worker.pid):
            return worker
        why = f"its process {worker.pid} was stopped by a signal; `kill -CONT {worker.pid}` lets it go on"
        return msgspec.structs.replace(worker, reason=why)

    def scaling(self) -> tuple[ScaledWorkers, ...]:
        """Return how many workers of each scaled entry the governor wants. Empty if no entry is scaled."""
        last = decided(self._layout.scaling)
        if last is None:
            return ()
        living = {worker.name for worker in self.workers()}
        return tuple(entry.seen(living) for entry in last.entries)

    def routes(self) -> Routes:
        """Return the table of queues: to which queue each kind of job goes, and which workers consume it."""
        return self._outbox.routing.routes

    def why_kept(self, job: JobRow) -> str:
        """Return why an accepted job is not published to the broker yet, or an empty text if it may be on its way."""
        return self._outbox.waits_for(job) if job.waits else self._outbox.release.why(job)

    def broker(self) -> BrokerView:
        """Return the state of the publisher's connection to the broker. A reason also says since when it holds."""
        link = self._outbox.link
        since = duration(time.monotonic() - link.since)
        reason = f"for {since}: {link.reason}" if link.reason else ""
        return BrokerView(_BROKER[link.state], reason)

    def free_bytes(self) -> int | None:
        """Return how many bytes can still be written under the state root, or None if that is not known."""
        try:
            disk = os.statvfs(self._layout.root)
        except OSError:
            return None
        return disk.f_bavail * disk.f_frsize


def _read_frozen(path: Path) -> FrozenJob | None:
    """Return the record that a freezer wrote, or None if the file was removed meanwhile or is damaged."""
    try:
        return stored.read(path, FrozenJob)
    except _UNREADABLE:
        return None


def _frozen(written: _Written) -> WorkerStatus:
    """Return the status of a worker, as held if its freezer has stopped it: a stopped process cannot report that."""
    worker, frozen = written.worker, written.frozen
    if frozen is None or worker.job is None:
        return worker
    if (frozen.id, frozen.pid, frozen.boot_id) != (worker.job.id, worker.pid, worker.boot_id):
        return worker
    job = msgspec.structs.replace(worker.job, held=frozen.held)
    return msgspec.structs.replace(worker, state=WorkerState.HELD, job=job)


def broker_view(link: BrokerLink) -> BrokerView:
    """Return the publisher's connection as the record that answers and events carry."""
    return BrokerView(_BROKER[link.state], link.reason)


def running(workers: list[WorkerStatus]) -> dict[str, tuple[WorkerStatus, RunningJob]]:
    """Return the jobs that run now by id, each with its worker."""
    return {job.id: (worker, job) for worker in workers for job in worker.running}
