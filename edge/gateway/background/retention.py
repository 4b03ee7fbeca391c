"""Removes the oldest finished jobs when they are too old or take too much disk space. Open jobs always stay.

It runs after jobs have ended, and once a day.
"""

from __future__ import annotations

import asyncio
import logging

from edge.config import Config, RetentionConfig
from edge.core import clock
from edge.core.errors import StorageError
from edge.gateway.background.outbox import Outbox
from edge.ledger.reader import LedgerReader
from edge.ledger.rows import JobRow
from edge.results.orders import Order, Orders

log = logging.getLogger(__name__)

_SOON_S = 60.0
_DAY_S = 86_400.0
BATCH = 500  # largest number of jobs that are removed at once


class Retention:
    """Orders the workers to remove jobs; they leave a tombstone for each. Runs on the event loop."""

    def __init__(self, config: Config, outbox: Outbox) -> None:
        self._config, self._outbox, self._orders = config, outbox, Orders(config.layout)
        self._soon = asyncio.Event()

    def ended(self) -> None:
        """Let `run` look for jobs to remove soon, because jobs have ended."""
        self._soon.set()

    async def run(self) -> None:
        """Remove old jobs again and again until this is cancelled."""
        while True:
            await asyncio.sleep(_SOON_S)
            self._soon.clear()
            try:
                while await self._let_go() == BATCH:
                    pass
            except Exception as err:  # `run` survives every error, because without retention the card fills up
                log.error("old jobs cannot be removed: %s", err, exc_info=not isinstance(err, StorageError))
            try:
                async with asyncio.timeout(_DAY_S):
                    await self._soon.wait()
            except TimeoutError:
                pass  # no job ended for a day, but some jobs may have become too old

    async def _let_go(self) -> int:
        now = clock.vouched_now()
        if now is not None:
            await self._redate(now)
        size = self._outbox.totals.finished_bytes
        jobs = await self._outbox.look(
            lambda ledger: overdue(ledger, self._config.retention, finished_bytes=size, now=now)
        )
        if jobs:
            ids = [job.id for job in jobs]
            await self._outbox.write(lambda ledger: ledger.ask_remove(ids))
            try:
                for job_id in ids:
                    self._orders.place(Order.DELETE, job_id)
            except OSError as err:
                raise StorageError("cannot write orders", err) from err
            log.info("asked for the removal of %d old jobs", len(ids))
        return len(jobs)

    async def _redate(self, now: float) -> None:
        """Count the age from now on for jobs that ended while the clock was wrong."""
        ids = await self._outbox.look(lambda ledger: misdated(ledger, now=now))
        if ids:
            await self._outbox.write(lambda ledger: ledger.redate(ids, now=now))
            log.info("%d jobs ended when the clock was wrong; their age counts from now on", len(ids))


def misdated(ledger: LedgerReader, *, now: float) -> list[str]:
    """Return those of the oldest finished jobs that have a wrong end time: none, in 1970, or in the future.

    The clock was wrong when they ended. With these times they would be removed at once, or keep all later jobs from
    being removed for years.

    Args:
        ledger: where to look.
        now: the time of a synchronised clock, in epoch seconds.
    """
    return [
        job.id
        for job in ledger.finished(limit=BATCH)
        if job.finished_at is None or not clock.plausible(job.finished_at) or job.finished_at > now + _DAY_S
    ]


def overdue(ledger: LedgerReader, config: RetentionConfig, *, finished_bytes: int, now: float | None) -> list[JobRow]:
    """Return the jobs to remove, oldest first, at most `BATCH`.

    Args:
        ledger: where to look.
        config: the limits of age and size.
        finished_bytes: the disk space that the results of all finished jobs take.
        now: the time in epoch seconds, or None if the clock is not synchronised (no time server was reached yet). Then
            no job is removed for its age: a board with a clock that shows 2036 must not remove everything.
    """
    excess = finished_bytes - config.keep_bytes
    going = []
    for job in ledger.finished(limit=BATCH):
        too_old = now is not None and now - (job.finished_at or now) > config.keep_days * _DAY_S
        if excess <= 0 and not too_old:
            break
        going.append(job)
        excess -= job.size_bytes
    return going
