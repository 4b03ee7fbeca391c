"""What may be consumed at which power."""

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
    """What the broker gave up on is looked at while anything is."""
    gate = Gate.of(PowerStatus(state, "", ""), ALL)
    assert gate.queues == queues
    assert all(gate.allows(queue) == (queue in queues) for queue in (*ALL, "edge.dead"))


def test_a_worker_of_one_queue_consumes_no_other() -> None:
    """`-Q edge.normal`."""
    gate = Gate.of(PowerStatus(PowerState.SURPLUS, "", ""), {"edge.normal"})
    assert gate.queues == {"edge.normal", "edge.dead"}


def test_a_closed_gate_lets_nothing_in() -> None:
    """Before a governor has spoken."""
    assert Gate.closed().queues == frozenset()
