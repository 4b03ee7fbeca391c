"""What the gateway asks of the workers: empty files in a folder of the gateway's, `ID.cancel`, `ID.delete`, `ID.take`.

The gateway faces the network and may write neither results nor queues of work; a worker watches the folder and does
what it is asked. Orders live in `/run`: the ledger knows them too and lays them out again after a boot.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from enum import StrEnum

from edge.core.errors import BadJobId
from edge.core.layout import Layout
from edge.model import check_job_id


class Order(StrEnum):
    """What can be asked."""

    CANCEL = "cancel"
    DELETE = "delete"
    TAKE = "take"  # a node's result lies in `uploads/`


class Orders:
    """The folder of orders."""

    def __init__(self, layout: Layout) -> None:
        self.folder = layout.orders

    def give(self, order: Order, job_id: str) -> None:
        """Ask for `order`; asking twice is asking once."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / f"{check_job_id(job_id)}.{order}").touch()

    def ended(self, job_ids: Iterable[str]) -> None:
        """Take back the orders that a result fulfils, and leave those to remove the result."""
        self._take_back(job_ids, (Order.CANCEL, Order.TAKE))

    def removed(self, job_ids: Iterable[str]) -> None:
        """Take back every order on jobs whose results were removed."""
        self._take_back(job_ids, tuple(Order))

    def _take_back(self, job_ids: Iterable[str], orders: Collection[Order]) -> None:
        """Look at the folder once for all jobs, because hardly any job ever has an order."""
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
        """The orders that lie there now; none where the folder went away."""
        with suppress(FileNotFoundError):
            yield from filter(None, map(parse, os.listdir(self.folder)))  # noqa: PTH208 - strings suffice


def parse(name: str) -> tuple[Order, str] | None:
    """Order and job id of a file name in the folder; None for a name that is no order."""
    job_id, _, order = name.rpartition(".")
    try:
        return Order(order), check_job_id(job_id)
    except (ValueError, BadJobId):
        return None
