"""Cancels open jobs and removes ended jobs, as clients request it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

import msgspec

from edge.core.errors import StorageError, UnknownJob, WrongState
from edge.core.layout import Layout
from edge.gateway.background.announcements import Waiters
from edge.gateway.background.journal import Journal
from edge.gateway.background.outbox import Outbox
from edge.gateway.board import Board
from edge.ledger.rows import JobRow
from edge.ledger.writer import LedgerWriter
from edge.results.orders import Order, Orders
from edge.wire import JobView

#: How long the answer to a removal waits for its end. After that it only says that the removal was requested.
_REMOVAL_S = 2.0


class Endings:
    """Writes each request into the ledger, then gives an order to the workers. Belongs to the event loop.

    The answer to a removal waits up to 2 s for its end. Cancellations are also written to the journal of events.
    """

    def __init__(
        self,
        layout: Layout,
        outbox: Outbox,
        journal: Journal,
        board: Board,
        *,
        view: Callable[[JobRow], Awaitable[JobView]],
    ) -> None:
        """`view` makes the answer record of a job."""
        self._outbox, self._journal, self._board, self._view = outbox, journal, board, view
        self._orders = Orders(layout)
        #: Requests that wait for the end of a removal.
        self.removals = Waiters()

    async def end(self, job: JobRow, *, if_open: bool, if_final: bool) -> JobView | None:
        """Cancel an open job, or remove an ended job.

        Args:
            job: the job, as the ledger has it.
            if_open: allow to cancel the job if it is open.
            if_final: allow to remove the job if it has ended.

        Returns:
            The present state of the job, or None if it has been removed.

        Raises:
            WrongState: the job is open without `if_open`, or has ended without `if_final`.
            UnknownJob: the job was removed meanwhile.
            StorageError: the ledger or the order cannot be written.
        """
        if job.state.final:
            if not if_final:
                raise WrongState(f"job {job.id!r} has ended ({job.state}); its result can be fetched")
            return await self._remove(job)
        if not if_open:
            raise WrongState(f"job {job.id!r} has not ended; cancel it first")
        await self._outbox.write(lambda ledger: ledger.ask_cancel(job.id), durable=True)
        self._order(Order.CANCEL, job.id)
        now = self._outbox.reader.get(job.id)
        if self._journal.on and not now.state.final:
            self._journal.cancelling(now)
        return await self._view(now)

    async def cancel_all(self, jobs: Sequence[JobRow]) -> None:
        """Request the cancellation of these open jobs, in one durable commit. Raises StorageError."""

        def work(ledger: LedgerWriter) -> None:
            for job in jobs:
                with suppress(UnknownJob):  # the job was removed meanwhile
                    ledger.ask_cancel(job.id)

        await self._order_all(jobs, Order.CANCEL, work)

    async def remove_all(self, jobs: Sequence[JobRow]) -> None:
        """Request the removal of these ended jobs, in one durable commit. Raises StorageError."""
        await self._order_all(jobs, Order.DELETE, lambda ledger: ledger.ask_remove([job.id for job in jobs]))

    async def _order_all(self, jobs: Sequence[JobRow], order: Order, work: Callable[[LedgerWriter], None]) -> None:
        if not jobs:
            return
        await self._outbox.write(work, durable=True)

        def write_orders() -> None:
            for job in jobs:
                self._order(order, job.id)

        await asyncio.to_thread(write_orders)
        if order is Order.CANCEL and self._journal.on:
            for job in jobs:
                if not self._journal.has_ended(job.id):
                    self._journal.cancelling(msgspec.structs.replace(job, cancel=True))

    async def _remove(self, job: JobRow) -> JobView | None:
        await self._outbox.write(lambda ledger: ledger.ask_remove([job.id]), durable=True)
        with self.removals.expecting(job.id) as gone:
            self._order(Order.DELETE, job.id)
            await asyncio.wait([gone], timeout=_REMOVAL_S if self._board.workers() else 0)
        left = self._outbox.reader.find(job.id)
        return None if left is None else await self._view(left)

    def _order(self, order: Order, job_id: str) -> None:
        try:
            self._orders.place(order, job_id)
        except OSError as err:
            raise StorageError("cannot write orders", err) from err
