"""Removes the oldest finished jobs, by age or by size; never open ones.

Runs after jobs have ended, and once a day.
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
BATCH = 500


class Retention:
    """Asks the workers to remove what is too old or too much; they leave a tombstone for each."""

    def __init__(self, config: Config, outbox: Outbox) -> None:
        self._config, self._outbox, self._orders = config, outbox, Orders(config.layout)
        self._soon = asyncio.Event()

    def ended(self) -> None:
        """Start a look soon, because jobs have ended."""
        self._soon.set()

    async def run(self) -> None:
        """Look for ever."""
        while True:
            await asyncio.sleep(_SOON_S)
            self._soon.clear()
            try:
                while await self._let_go() == BATCH:
                    pass
            except Exception as err:  # any error: without retention the card fills up
                log.error("old jobs cannot be removed: %s", err, exc_info=not isinstance(err, StorageError))
            try:
                async with asyncio.timeout(_DAY_S):
                    await self._soon.wait()
            except TimeoutError:
                pass  # a day without a job: age alone may have come due

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
                    self._orders.give(Order.DELETE, job_id)
            except OSError as err:
                raise StorageError("cannot write orders", err) from err
            log.info("asked for the removal of %d old jobs", len(ids))
        return len(jobs)

    async def _redate(self, now: float) -> None:
        """Count the age of results that were made with a wrong clock from now on."""
        ids = await self._outbox.look(lambda ledger: misdated(ledger, now=now))
        if ids:
            await self._outbox.write(lambda ledger: ledger.redate(ids, now=now))
            log.info("%d jobs ended when the clock was wrong; their age counts from now on", len(ids))


def misdated(ledger: LedgerReader, *, now: float) -> list[str]:
    """Of the oldest finished jobs those that ended when the board did not know the time: in 1970, or years ahead.

    `now` is of a clock that somebody vouches for. As they are they would go at once, or keep all behind them for years.
    """
    return [
        job.id
        for job in ledger.finished(limit=BATCH)
        if job.finished_at is None or not clock.plausible(job.finished_at) or job.finished_at > now + _DAY_S
    ]


def overdue(ledger: LedgerReader, config: RetentionConfig, *, finished_bytes: int, now: float | None) -> list[JobRow]:
    """At most `BATCH` jobs to remove, oldest first; `finished_bytes` is what all their results take.

    `now` is None when nobody vouches for the clock (no RTC, no time server yet): then age decides nothing, for a board
    that believes it is 2036 must not throw everything away.
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
