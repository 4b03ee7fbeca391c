"""The queues that are consumed at each power state."""

from __future__ import annotations

import pytest

from edge.model import PowerState, PowerStatus
from edge.worker.intake.gate import Gate

ALL = frozenset({"edge.always", "edge.normal", "edge.surplus"})


@pytest.mark.parametrize(
    ("state", "queues"),
    [
        (PowerState.SURPLUS, {"edge.always", "edge.normal", "edge.surplus", "edge.dead"}),
        (PowerState.NORMAL, {"edge.always", "edge.normal", "edge.dead"}),
        (PowerState.LOW, {"edge.always", "edge.dead"}),
        (PowerState.CRITICAL, set()),
        (PowerState.UNKNOWN, set()),
        (PowerState.PAUSED, set()),
    ],
)
def test_the_queues_follow_the_power(state: PowerState, queues: set[str]) -> None:
    """The dead-letter queue is consumed while any other queue is."""
    gate = Gate.of(PowerStatus(state, "", ""), ALL)
    assert gate.queues == queues
    assert all(gate.allows(queue) == (queue in queues) for queue in (*ALL, "edge.dead"))


def test_a_worker_of_one_queue_consumes_no_other() -> None:
    """The worker was started with `-Q edge.normal`."""
    gate = Gate.of(PowerStatus(PowerState.SURPLUS, "", ""), {"edge.normal"})
    assert gate.queues == {"edge.normal", "edge.dead"}


def test_a_closed_gate_lets_nothing_in() -> None:
    """It holds before the first report of a governor."""
    assert Gate.closed().queues == frozenset()
