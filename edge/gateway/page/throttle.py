"""Slows down an address that sends wrong tokens."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from edge.access.address import network_of
from edge.core.backoff import Backoff

#: From this wrong token on an address has to wait; before, a person may have pasted a wrong line.
FREE = 5
_WAIT = Backoff(first_s=5.0, most_s=600.0)
#: A quiet address is forgotten after so long; so are the oldest when there are many.
_FORGET_S = 3600.0
_MOST = 1000


@dataclass
class _Tries:
    wrong: int
    last: float
    until: float


class Throttle:
    """Counts wrong tokens by address. Belongs to the event loop; costs nothing while nobody is wrong."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._tries: OrderedDict[str, _Tries] = OrderedDict()

    def wait_s(self, address: str) -> float:
        """Seconds until this address may try again; 0: now."""
        tries = self._tries.get(network_of(address))
        return 0.0 if tries is None else max(0.0, tries.until - self._now())

    def wrong(self, address: str) -> None:
        """Note a wrong token. From the fifth on the address has to wait, each time twice as long, up to 10 min."""
        network, now = network_of(address), self._now()
        tries = self._tries.pop(network, None)
        if tries is None or now - tries.last > _FORGET_S:
            tries = _Tries(0, now, 0.0)
        tries.wrong += 1
        tries.last = now
        if tries.wrong >= FREE:
            tries.until = now + _WAIT.pause_s(tries.wrong - FREE + 1)
        self._tries[network] = tries
        while len(self._tries) > _MOST:
            self._tries.popitem(last=False)

    def right(self, address: str) -> None:
        """Note a right token: forget the wrong ones of this address."""
        self._tries.pop(network_of(address), None)
