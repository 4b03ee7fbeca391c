"""A person's order to pause or resume. The gateway passes it to the governor in one small file in `/run`.

The gateway faces the network, so it may not write `power/pause.json`. Only the governor decides about power: it
watches the folder of the order file and carries the order out. The gateway then sees `pause.json` change.
"""

from __future__ import annotations

import time
from pathlib import Path

import msgspec

from edge.core import durable, stored
from edge.core.host import boot_id

#: An older order is not carried out: the gateway has already answered its person that no governor took it.
FRESH_S = 10.0


class PauseOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An order to pause for `for_s` seconds (None: until somebody resumes), or to resume."""

    resume: bool
    for_s: float | None
    by: str
    monotonic: float
    boot_id: str


def give(path: Path, *, resume: bool = False, for_s: float | None = None, by: str) -> None:
    """Write an order for the governor. A later order replaces an earlier one. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    order = PauseOrder(resume, for_s, by, time.monotonic(), boot_id())
    durable.replace_volatile(path, msgspec.json.encode(order))


def take(path: Path, *, after: float = 0.0) -> PauseOrder | None:
    """Return the order to carry out now, or None if there is no valid one.

    An order is valid if it was written in this boot, less than `FRESH_S` ago, and later than `after` (seconds of
    CLOCK_MONOTONIC).
    """
    try:
        order = stored.read(path, PauseOrder)
    except (OSError, stored.BadContent):
        return None
    age_s = time.monotonic() - order.monotonic
    if order.boot_id != boot_id() or not 0 <= age_s <= FRESH_S or order.monotonic <= after:
        return None
    return order
