"""The decision about a delivery depends on what is known of its job."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from edge.broker.topology import DEAD_NAME, queue_name
from edge.config import WorkerConfig
from edge.config.power import PowerConfig
from edge.model import Attempts, FailureCode, Power, PowerState, PowerStatus, Reading
from edge.worker.attempt.admission import Defer, Kinds, Old, Park, Refuse, Run, admit, first_look
from edge.worker.attempt.delivery import Delivery
from edge.worker.power.feasibility import KindAverage
from tests.unit.worker.played_worker import NORMAL

_TASK = SimpleNamespace(edge_signature=SimpleNamespace(bind=lambda _args, kwargs: kwargs))
KINDS = Kinds(cast("Any", {"echo": _TASK}), {})
CONFIG = WorkerConfig()


def delivery(queue: str = NORMAL, **fields: Any) -> Delivery:
    """Return a delivery of the job `a`."""
    return Delivery(cast("Any", None), queue, "a", "echo", **fields)


@pytest.mark.parametrize("crashes", [0, CONFIG.max_crashes - 1, CONFIG.max_crashes])
def test_a_job_runs_until_it_has_crashed_as_often_as_allowed(crashes: int) -> None:
    """After `worker.max_crashes` crashes the job does not run any more."""
    decision = admit(delivery(), Attempts("a", deliveries=crashes, crashes=crashes), KINDS, CONFIG)
    if crashes < CONFIG.max_crashes:
        assert isinstance(decision, Run)
    else:
        assert isinstance(decision, Refuse)
        assert decision.failure.code is FailureCode.CRASH_LOOP


def test_a_message_of_a_limited_kind_that_passed_the_gateway_by_goes_to_it() -> None:
    """Only the gateway knows how many jobs of the kind run. A message that came through the gateway runs."""
    kind = SimpleNamespace(edge_power=Power.SURPLUS, edge_retries=2, edge_time_limit_s=3.0, **vars(_TASK))
    kinds = Kinds(cast("Any", {"echo": kind}), {}, frozenset({"echo"}))
    decision = admit(delivery(), None, kinds, CONFIG)
    assert isinstance(decision, Defer)
    (job,) = decision.jobs
    assert (job.own_id, job.power, job.retries, job.time_limit_s) == ("a", Power.NORMAL, 2, 3.0)
    assert isinstance(admit(delivery(headers={"edge": {}}), None, kinds, CONFIG), Run)


def test_a_dead_letter_does_not_run() -> None:
    """The broker moved the message to the dead-letter queue. The failure says why."""
    decision = admit(
        delivery(DEAD_NAME, headers={"x-death": [{"reason": "expired", "queue": "q"}]}), None, KINDS, CONFIG
    )
    assert isinstance(decision, Refuse)
    assert decision.failure.code is FailureCode.DEAD_LETTERED
    assert decision.failure.message.endswith("expired in q")


@pytest.mark.parametrize(("known", "kind"), [(0, Run), (1, Run), (2, Old)])
def test_a_copy_of_an_attempt_that_failed_is_old(known: int, kind: type) -> None:
    """The retry is another message. Its number of failures is the recorded one."""
    assert isinstance(admit(delivery(failures=1), Attempts("a", failures=known), KINDS, CONFIG), kind)


@pytest.mark.parametrize(("power", "parked"), [(Power.ALWAYS, False), (Power.NORMAL, True)])
def test_below_the_pause_threshold_only_other_classes_than_always_lack_energy(power: Power, parked: bool) -> None:
    """A learned kind of class `always` starts at low power, because the board stays awake for it."""
    decision = first_look(
        delivery(queue_name(power)),
        job_ended=False,
        parked=False,
        power=PowerStatus(PowerState.LOW, "x", "x", readings=(Reading("battery", "charge", 13.0),)),
        expected=KindAverage(3, 0.001, 0.0015),
        config=PowerConfig(battery_wh=37.0),
    )
    assert isinstance(decision, Park) is parked
