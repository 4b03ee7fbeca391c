"""Makes the `Spawner` of each attempt, for both executors."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from msgspec.structs import replace

from edge.core.errors import SpawnedOtherwise
from edge.results.inputs import Inputs
from edge.worker.api.handed import Handed
from edge.worker.api.kind import TaskKind
from edge.worker.api.spawner import HandOver, Spawner
from edge.worker.attempt.attempt import Attempt
from edge.worker.executor.execute import Outcome, failure_of


class Spawners:
    """Makes a `Spawner` for each attempt whose body has a parameter for its `Job`. Belongs to the main thread."""

    def __init__(
        self,
        hand_over: HandOver,
        *,
        kinds: Callable[[], Mapping[str, TaskKind]],
        max_bytes: int,
        inputs: Inputs,
        node: bool,
    ) -> None:
        """Prepare for all attempts of this worker.

        Args:
            hand_over: receives the spawned jobs.
            kinds: returns the known kinds of job.
            max_bytes: the largest size of one job's arguments as JSON.
            inputs: the input files on this board.
            node: True if the head stores the files, so that this board has some of them only.
        """
        self._hand_over, self._kinds, self._max_bytes = hand_over, kinds, max_bytes
        self._inputs, self._stored = inputs, None if node else inputs.size

    def begin(self, attempt: Attempt) -> Spawner:
        """Make the spawner of `attempt`, whose body is about to run."""
        spawner = Spawner(
            attempt.id,
            submitter=attempt.delivery.submitter,
            kinds=self._kinds,
            hand_over=self._hand_over,
            max_bytes=self._max_bytes,
            handed=Handed(attempt.delivery.files, inputs=self._inputs, stored=self._stored),
        )
        attempt.spawns(spawner)
        return spawner


def settle(attempt: Attempt, outcome: Outcome) -> Outcome:
    """Write the spawned jobs of a body that has ended, and return its outcome.

    If the disk refuses the jobs, they are written later together with the result. If the head refuses a
    job, because an earlier attempt spawned a different job in the same call or with the same key, the outcome becomes a
    failure, unless the body failed or was interrupted.
    """
    if attempt.spawner is None:
        return outcome
    try:
        attempt.spawner.settle()
    except SpawnedOtherwise as err:
        if outcome.failure is None and not outcome.interrupted:
            return replace(outcome, value=None, encoded=None, failure=failure_of(err), error=err)
    return outcome
