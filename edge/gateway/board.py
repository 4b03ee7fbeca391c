"""The board as a request finds it: power, workers, room on the card.

Nothing of it is watched: a file in `/run` is read when somebody asks, so a job that tells its progress four times a
second wakes nobody here.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from edge.broker.publisher import BrokerLink, BrokerLinkState
from edge.broker.routes import Routes
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

_decode = msgspec.json.Decoder(WorkerStatus).decode
_decode_frozen = msgspec.json.Decoder(FrozenJob).decode
_BROKER = {
    BrokerLinkState.UP: BrokerState.CONNECTED,
    BrokerLinkState.BLOCKED: BrokerState.BLOCKED,
    BrokerLinkState.DOWN: BrokerState.DOWN,
}

_UNREADABLE = (OSError, msgspec.DecodeError, UnicodeDecodeError)
#: Longer than the clock by which the kernel stamps a folder takes for a step.
_TICK_NS = 100_000_000


class _Written(msgspec.Struct, frozen=True):
    """What a worker's file says, and its freezer's where there is one."""

    worker: WorkerStatus
    frozen: FrozenJob | None


class Board:
    """Reads what the other processes say of themselves; each method costs a look at a file or two."""

    def __init__(self, layout: Layout, outbox: Outbox) -> None:
        self._layout, self._outbox = layout, outbox
        self._power = status.Reader(layout.power)
        self._seen_ns = -1
        self._written: tuple[_Written, ...] = ()
        #: When waiting jobs are going to start.
        self.starts = StartTimes(
            layout, verdict=self.verdict, rows=outbox.open_rows, bodies=lambda: max(1, len(self.workers()))
        )

    def forecast(self) -> ForecastView | None:
        """How good the forecast and the told start times were; None where the board does not look ahead."""
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
        """The governor's word, or `unknown` with the reason why none counts; each reading is as old as it is now."""
        return status.aged(self.verdict())

    def verdict(self) -> PowerStatus:
        """As `power`, for whoever does not look at the readings: these have the age they were written with."""
        return self._power.read()

    def workers(self) -> list[WorkerStatus]:
        """The workers that live, by name; a file whose writer is gone does not count."""
        return [
            self._stopped(_frozen(written))
            for written in self._statuses()
            if written.worker.boot_id == boot_id() and process_alive(written.worker.pid)
        ]

    def _statuses(self) -> tuple[_Written, ...]:
        """Return what the workers' files say.

        They are read again only after a file was renamed into their folder or left it, which is how each is written.
        """
        now_ns = time.time_ns()  # before the look: after a pause of this process the change would seem old
        try:
            changed_ns = os.stat(self._layout.run).st_mtime_ns  # noqa: PTH116 - once a submit
        except OSError:
            changed_ns = -1
        if changed_ns != self._seen_ns or changed_ns < 0:
            self._written = tuple(self._read())
            # Two changes within one tick of the kernel's clock look the same: what is so new is read once more.
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
                worker = _decode((self._layout.run / name).read_bytes())
            except _UNREADABLE:
                continue  # gone meanwhile, or not a status
            if worker.state is not WorkerState.STOPPED:
                frozen = self._layout.frozen(worker.name)
                yield _Written(worker, _said(frozen) if frozen.name in names else None)

    @staticmethod
    def _stopped(worker: WorkerStatus) -> WorkerStatus:
        """`worker` with the word that somebody has stopped it, which it cannot say: its last one still stands there."""
        if worker.state is WorkerState.HELD or not process_stopped(worker.pid):
            return worker
        why = f"its process {worker.pid} was stopped by a signal; `kill -CONT {worker.pid}` lets it go on"
        return msgspec.structs.replace(worker, reason=why)

    def scaling(self) -> tuple[ScaledWorkers, ...]:
        """How many workers of each scaled entry are to run, as the governor tells; none where none is scaled."""
        last = decided(self._layout.scaling)
        if last is None:
            return ()
        living = {worker.name for worker in self.workers()}
        return tuple(entry.seen(living) for entry in last.entries)

    def routes(self) -> Routes:
        """Which queue each kind goes to, and which worker takes it."""
        return self._outbox.routing.routes

    def why_kept(self, job: JobRow) -> str:
        """Why an accepted job is not given to the broker yet; empty where it may be on its way."""
        return self._outbox.waits_for(job) if job.waits else self._outbox.release.why(job)

    def broker(self) -> BrokerView:
        """How the publisher stands with the broker, and since when that is so."""
        link = self._outbox.link
        since = duration(time.monotonic() - link.since)
        reason = f"for {since}: {link.reason}" if link.reason else ""
        return BrokerView(_BROKER[link.state], reason)

    def free_bytes(self) -> int | None:
        """Bytes that may still be written under the state root; None when that cannot be told."""
        try:
            disk = os.statvfs(self._layout.root)
        except OSError:
            return None
        return disk.f_bavail * disk.f_frsize


def _said(path: Path) -> FrozenJob | None:
    """What a freezer wrote; None when it has gone meanwhile, or is no status."""
    try:
        return _decode_frozen(path.read_bytes())
    except _UNREADABLE:
        return None


def _frozen(written: _Written) -> WorkerStatus:
    """A worker with what its freezer says of it: a stopped process cannot tell itself."""
    worker, said = written.worker, written.frozen
    if said is None or worker.job is None:
        return worker
    if (said.id, said.pid, said.boot_id) != (worker.job.id, worker.pid, worker.boot_id):
        return worker
    job = msgspec.structs.replace(worker.job, held=said.held)
    return msgspec.structs.replace(worker, state=WorkerState.HELD, job=job)


def broker_view(link: BrokerLink) -> BrokerView:
    """A link of the publisher as the wire has it."""
    return BrokerView(_BROKER[link.state], link.reason)


def running(workers: list[WorkerStatus]) -> dict[str, tuple[WorkerStatus, RunningJob]]:
    """The jobs that run now, by id."""
    return {job.id: (worker, job) for worker in workers for job in worker.running}
