"""Passes orders from the gateway to the workers: files `ID.cancel`, `ID.delete`, `ID.fail` and `ID.take` in one folder.

The gateway serves the network, so it may not write results. A worker watches the folder and carries out the orders.
Orders lie in `/run`, which a boot empties. The ledger also has the requests to cancel and to remove, and the gateway
writes their orders again after a boot.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from enum import StrEnum

import msgspec

from edge.core import durable, stored
from edge.core.errors import BadJobId
from edge.core.layout import Layout
from edge.model import Failure, check_job_id


class Order(StrEnum):
    """The kinds of order. The value is the suffix of the file name."""

    CANCEL = "cancel"
    DELETE = "delete"
    FAIL = "fail"  # publish the failure in the file: the job can never run
    TAKE = "take"  # publish a node's result from `uploads/`


class Orders:
    """The folder of orders. Methods raise OSError."""

    def __init__(self, layout: Layout) -> None:
        self.folder = layout.orders

    def give(self, order: Order, job_id: str) -> None:
        """Write an order. Writing it a second time changes nothing."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / f"{check_job_id(job_id)}.{order}").touch()

    def fail(self, job_id: str, failure: Failure) -> None:
        """Write the order to end a waiting job with `failure`. A second order replaces the first."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"{check_job_id(job_id)}.{Order.FAIL}"
        durable.replace_volatile(path, msgspec.json.encode(failure))

    def failure(self, job_id: str) -> Failure | None:
        """Return the failure in the order to end a job, or None if there is no order or it cannot be decoded."""
        try:
            return stored.read(self.folder / f"{check_job_id(job_id)}.{Order.FAIL}", Failure)
        except (FileNotFoundError, stored.BadContent):
            return None

    def ended(self, job_ids: Iterable[str]) -> None:
        """Remove the orders that have no effect after the result: cancel, fail and take."""
        self._withdraw(job_ids, (Order.CANCEL, Order.FAIL, Order.TAKE))

    def removed(self, job_ids: Iterable[str]) -> None:
        """Remove all orders on jobs whose results were removed."""
        self._withdraw(job_ids, tuple(Order))

    def _withdraw(self, job_ids: Iterable[str], orders: Collection[Order]) -> None:
        """Remove these orders of these jobs. Lists the folder once for all jobs, because few jobs have an order."""
        try:
            names = set(os.listdir(self.folder))  # noqa: PTH208 - strings suffice
        except FileNotFoundError:
            return
        if not names:
            return
        for job_id in job_ids:
            for order in orders:
                if (name := f"{job_id}.{order}") in names:
                    (self.folder / name).unlink(missing_ok=True)

    def standing(self) -> Iterator[tuple[Order, str]]:
        """Yield the orders that exist now. Yields nothing if the folder is missing."""
        with suppress(FileNotFoundError):
            yield from filter(None, map(parse, os.listdir(self.folder)))  # noqa: PTH208 - strings suffice


def parse(name: str) -> tuple[Order, str] | None:
    """Return order and job id of a file name in the folder, or None if it is not the name of an order."""
    job_id, _, order = name.rpartition(".")
    try:
        return Order(order), check_job_id(job_id)
    except (ValueError, BadJobId):
        return None
