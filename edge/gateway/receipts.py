"""What the jobs took that ended since the start of the gateway, summed up for whoever scrapes it."""

from __future__ import annotations

from edge.model import Metering, Result


class Receipts:
    """Sums of the energy receipts; measured and estimated joules are never added to each other."""

    def __init__(self) -> None:
        self.joules = dict.fromkeys(Metering, 0.0)
        self.seconds = self.cpu_seconds = self.held_s = 0.0

    def add(self, result: Result) -> None:
        """Take in a result; one without a receipt had no body that ran."""
        receipt = result.energy
        if receipt is None:
            return
        self.joules[receipt.metering] += receipt.joules
        self.seconds += receipt.seconds
        self.cpu_seconds += receipt.cpu_seconds
        self.held_s += receipt.held_s
