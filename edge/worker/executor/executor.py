"""What runs bodies."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from edge.model import PowerStatus
from edge.worker.attempt.attempt import Attempt


class Executor(Protocol):
    """Runs the bodies of attempts. All methods belong to the main thread, but `cancel`."""

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

    def cancel(self, job_id: str) -> None:
        """Interrupt the body of `job_id` if it runs or is about to; callable from any thread."""
