"""What runs bodies."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from edge.model import PowerStatus
from edge.worker.attempt.attempt import Attempt
from edge.worker.attempt.delivery import Delivery


class Executor(Protocol):
    """Runs the bodies of attempts. All methods belong to the main thread, but `cancel`."""

    @property
    def elsewhere(self) -> bool:
        """True when bodies run beside the main thread: `begin` returns at once, and they end in any order."""

    @property
    def busy(self) -> bool:
        """True while a body runs that the worker waits for."""

    @property
    def free_slots(self) -> int:
        """How many more bodies may begin now."""

    def begin(self, attempt: Attempt, power: PowerStatus) -> None:
        """Begin the body of `attempt`; `power` is what let it in.

        Where bodies run in the main thread it has ended on return: `attempt.outcome` is there. Else the attempt comes
        out of `ended` later.
        """

    def ended(self) -> Iterable[Attempt]:
        """Attempts whose body ended elsewhere since the last call."""

    def admits(self, company: int) -> bool:
        """True when a body may begin now that runs beside `company` others at most, itself counted; 0: beside any.

        See `edge.worker.attempt.history` on who may have ended the worker before this one.
        """

    def runs(self, job_id: str) -> bool:
        """True while the body of `job_id` runs, or has ended and was not taken from `ended` yet."""

    def join(self, delivery: Delivery) -> bool:
        """Another copy of the message of a job that runs: it is settled with the first one; False where it cannot."""

    def heed(self, power: PowerStatus) -> None:
        """The governor has spoken: bodies that it does not allow are held, others go on."""

    def due_in_s(self) -> float | None:
        """Seconds after which to ask for `ended` though nobody rang; None: never."""

    def cancel(self, job_id: str) -> None:
        """Interrupt the body of `job_id` if it runs or is about to; callable from any thread."""
