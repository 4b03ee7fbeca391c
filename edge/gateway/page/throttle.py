"""Makes an address wait after several wrong tokens, so that nobody can guess tokens quickly."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from edge.access.address import network_of
from edge.core.backoff import Backoff

#: An address has to wait from this wrong token on. Fewer wrong tokens may be a person who pasted the wrong line.
FREE = 5
_WAIT = Backoff(first_s=5.0, most_s=600.0)
#: An address without a wrong token for this time starts again at zero.
_FORGET_S = 3600.0
#: The largest number of addresses that are remembered; the oldest are forgotten first.
_MOST_ADDRESSES = 1000


@dataclass
class _Tries:
    wrong: int
    last: float  # time of the last wrong token
    until: float  # the address has to wait until this time


class Throttle:
    """Counts wrong tokens by address. Belongs to the event loop. Needs no timer."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._tries: OrderedDict[str, _Tries] = OrderedDict()

    def wait_s(self, address: str) -> float:
        """Return the seconds until this address may try again, or 0 if it may try now."""
        tries = self._tries.get(network_of(address))
        return 0.0 if tries is None else max(0.0, tries.until - self._now())

    def wrong(self, address: str) -> None:
        """Count a wrong token. From the fifth on, the address waits 5 s, then twice as long each time, up to 10 min."""
        network, now = network_of(address), self._now()
        tries = self._tries.pop(network, None)
        if tries is None or now - tries.last > _FORGET_S:
            tries = _Tries(0, now, 0.0)
        tries.wrong += 1
        tries.last = now
        if tries.wrong >= FREE:
            tries.until = now + _WAIT.pause_s(tries.wrong - FREE + 1)
        self._tries[network] = tries
        while len(self._tries) > _MOST_ADDRESSES:
            self._tries.popitem(last=False)

    def right(self, address: str) -> None:
        """Forget the wrong tokens of this address, because it sent a right one."""
        self._tries.pop(network_of(address), None)
