"""Jobs that are submitted for later wait in the ledger, and reach the broker when their time has come."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from edge.config import BrokerConfig
from tests.conftest import MakeConfig
from tests.running_gateway import RunningGateway, StartGateway

pytestmark = pytest.mark.broker


@pytest.fixture
def board(broker: BrokerConfig, make_config: MakeConfig, start_gateway: StartGateway) -> RunningGateway:
    """A gateway with a broker."""
    return start_gateway(make_config(broker))


def submit(board: RunningGateway, **fields: object) -> str:
    answer = board.ask("POST", "/jobs", {"task": "echo", "args": ["hello"], **fields})
    assert answer.status == 202, answer.body
    return str(answer.json["id"])


def at(seconds: float) -> str:
    return datetime.fromtimestamp(time.time() + seconds, UTC).isoformat()


@pytest.mark.parametrize("when", [lambda: {"delay_s": 1.5}, lambda: {"not_before": at(1.5)}], ids=["delay", "time"])
def test_a_job_for_later_reaches_the_broker_when_it_is_due(
    board: RunningGateway, when: Callable[[], dict[str, object]]
) -> None:
    """Not before, and within a second of it. Until then it says when it starts."""
    began = time.time()
    job_id = submit(board, **when())
    view = board.ask("GET", f"/jobs/{job_id}").json
    assert view["state"] == "accepted"
    assert view["due_at"] == pytest.approx(began + 1.5, abs=0.5)
    assert view["waiting"].startswith(("submitted for later; starts in", "not before "))
    first = submit(board)
    board.becomes(first, "queued")
    board.becomes(job_id, "queued")
    assert 1.4 < time.time() - began < 2.7


def test_what_became_due_while_the_gateway_was_down_goes_out_at_its_start(
    broker: BrokerConfig, make_config: MakeConfig, start_gateway: StartGateway
) -> None:
    """Both kinds of time are in the ledger alone."""
    config = make_config(broker)
    board = start_gateway(config)
    ids = [submit(board, delay_s=1.0), submit(board, not_before=at(1.0)), submit(board, delay_s=3600)]
    board.stop()
    time.sleep(1.1)
    board = start_gateway(config)
    for job_id in ids[:2]:
        board.becomes(job_id, "queued")
    assert board.ask("GET", f"/jobs/{ids[2]}").json["state"] == "accepted"


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"delay_s": -1}, "delay_s"),
        ({"delay_s": 1e9}, "delay_s"),
        ({"delay_s": 1, "not_before": "2026-11-28T10:00:00Z"}, "give one of them"),
        ({"not_before": "2026-11-28T24:00:00Z"}, "midnight is 00:00"),
        ({"not_before": "2016-12-31T23:59:60Z"}, "leap second"),
        ({"not_before": "tomorrow"}, "offset from UTC"),
        ({"not_before": "2026-11-28T10:00:00"}, "offset from UTC"),
        ({"not_before": "2026-02-30T10:00:00Z"}, "no such time"),
        ({"not_before": 5}, "not_before"),
    ],
)
def test_a_time_that_is_none_gets_one_sentence(board: RunningGateway, fields: dict[str, object], says: str) -> None:
    """It names the field and what is allowed."""
    answer = board.ask("POST", "/jobs", {"task": "echo", "args": ["hello"], **fields})
    assert answer.status == 400
    assert says in answer.json["detail"]
    assert "\n" not in answer.json["detail"]
