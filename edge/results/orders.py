"""What the gateway asks of the workers: empty files in a folder of the gateway's, `ID.cancel`, `ID.delete`, `ID.take`.

The gateway faces the network and may write neither results nor queues of work; a worker watches the folder and does
what it is asked. Orders live in `/run`: the ledger knows them too and lays them out again after a boot.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
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

    def done(self, job_id: str) -> None:
        """Take back every order on `job_id`: it has been carried out."""
        self.done_all((check_job_id(job_id),))

    def done_all(self, job_ids: Iterable[str]) -> None:
        """As `done` of each: one look at the folder, for hardly any job ever has an order."""
        try:
            names = set(os.listdir(self.folder))  # noqa: PTH208 - strings suffice
        except FileNotFoundError:
            return
        if not names:
            return
        for job_id in job_ids:
            for order in Order:
                if (name := f"{job_id}.{order}") in names:
                    (self.folder / name).unlink(missing_ok=True)

    def standing(self) -> Iterator[tuple[Order, str]]:
        """The orders that lie there now."""
        if self.folder.is_dir():
            yield from filter(None, (parse(path.name) for path in self.folder.iterdir()))


def parse(name: str) -> tuple[Order, str] | None:
    """Order and job id of a file name in the folder; None for a name that is no order."""
    job_id, _, order = name.rpartition(".")
    try:
        return Order(order), check_job_id(job_id)
    except (ValueError, BadJobId):
        return None
