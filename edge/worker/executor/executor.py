"""The protocol of what runs bodies: `MainThread` or `Threads`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from edge.model import PowerStatus
from edge.worker.attempt.attempt import Attempt
from edge.worker.attempt.delivery import Delivery


class Executor(Protocol):
    """Runs the bodies of attempts. All methods belong to the main thread, except `cancel`."""

    @property
    def elsewhere(self) -> bool:
        """True when bodies run in other threads: `begin` returns at once, and they end in any order."""

    @property
    def busy(self) -> bool:
        """True while a body runs that the worker waits for."""

    @property
    def free_slots(self) -> int:
        """How many more bodies may begin now."""

    def begin(self, attempt: Attempt, power: PowerStatus) -> None:
        """Begin the body of `attempt`; `power` is the report that allowed it. Raises OSError when no thread can start.

        In the main thread the body has ended on return, and `attempt.outcome` is set. Otherwise `ended` returns the
        attempt later.
        """

    def ended(self) -> Iterable[Attempt]:
        """Return the attempts whose bodies ended in other threads since the last call."""

    def admits(self, company: int) -> bool:
        """True when a body may begin now.

        Args:
            company: how many bodies may run at once with this one, itself counted, because it is suspected of a crash;
                0: any number. See `edge.worker.attempt.history`.
        """

    def runs(self, job_id: str) -> bool:
        """True while the body of `job_id` runs, or has ended and `ended` has not returned it yet."""

    def join(self, delivery: Delivery) -> bool:
        """Add a copy of the message of a running job, to be acknowledged with it; False for a later retry."""

    def heed(self, power: PowerStatus) -> None:
        """Take a new report of the governor: bodies that it does not allow are held, others continue."""

    def due_in_s(self) -> float | None:
        """Return the seconds until `ended` has to be called without a wake-up; None: never."""

    def cancel(self, job_id: str) -> None:
        """Interrupt the body of `job_id` if it runs or is about to; callable from any thread."""
