"""The protocol `Executor`, which `MainThread` and `Threads` implement."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from edge.model import PowerStatus
from edge.worker.attempt.attempt import Attempt
from edge.worker.attempt.delivery import Delivery


class Executor(Protocol):
    """Runs the bodies of attempts. All methods belong to the main thread, except `cancel`."""

    @property
    def in_threads(self) -> bool:
        """True if bodies run in other threads. Then `begin` returns at once, and bodies end in any order."""

    @property
    def busy(self) -> bool:
        """True while a body runs that the worker waits for."""

    @property
    def free_slots(self) -> int:
        """Number of bodies that may begin now."""

    def begin(self, attempt: Attempt, power: PowerStatus) -> None:
        """Begin the body of `attempt`; `power` is the report that allowed it. Raises OSError if no thread can start.

        A body in the main thread has ended on return, and `attempt.outcome` is set. For a body in another thread,
        `ended` returns the attempt later.
        """

    def ended(self) -> Iterable[Attempt]:
        """Return the attempts whose bodies ended in other threads since the last call."""

    def admits(self, parallel_limit: int) -> bool:
        """Return True if a body may begin now.

        Args:
            parallel_limit: how many bodies may run at once while this one runs, including this one, if it is suspected
                of a crash; 0 means any number. See `edge.worker.attempt.history`.
        """

    def runs(self, job_id: str) -> bool:
        """Return True while the body of `job_id` runs, or has ended and `ended` has not returned it yet."""

    def join(self, delivery: Delivery) -> bool:
        """Add a copy of the message of a running job. It is acknowledged together with the first message.

        Return False, without adding it, if it is the message of a later retry.
        """

    def apply_power(self, power: PowerStatus) -> None:
        """Apply a new report of the governor: bodies that it does not allow are held, others continue."""

    def due_in_s(self) -> float | None:
        """Return the seconds until `ended` must be called even without a wake-up, or None if it need not be called."""

    def cancel(self, job_id: str) -> None:
        """Interrupt the body of `job_id` if it runs or is about to run. Callable from any thread."""
