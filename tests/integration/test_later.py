"""Jobs for later wait in the ledger, and reach the broker when they are due."""

from __future__ import annotations

import json
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
    """A job for later reaches the broker within a second of its time, not before; until then it says when it starts."""
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
    """Jobs that became due while the gateway was down are published at its start; only the ledger has their times."""
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
        ({"not_before": "2026-11-28T24:00:00Z"}, "midnight is 00:00"),
        ({"not_before": "2016-12-31T23:59:60Z"}, "leap second"),
        ({"not_before": "tomorrow"}, "offset from UTC"),
        ({"not_before": "2026-11-28T10:00:00"}, "offset from UTC"),
        ({"not_before": "2026-02-30T10:00:00Z"}, "no such time"),
        ({"not_before": 5}, "not_before"),
    ],
)
def test_an_invalid_time_gets_one_sentence(board: RunningGateway, fields: dict[str, object], says: str) -> None:
    """The refusal names the field and what is allowed."""
    answer = board.ask("POST", "/jobs", {"task": "echo", "args": ["hello"], **fields})
    assert answer.status == 400
    assert says in answer.json["detail"]
    assert "\n" not in answer.json["detail"]


def batch(board: RunningGateway, *lines: dict[str, object]) -> list[dict[str, object]]:
    body = b"".join(json.dumps({"task": "echo", "args": ["x"], **line}).encode() + b"\n" for line in lines)
    answer = board.ask("POST", "/jobs/batch", body, Content_Type="application/x-ndjson")
    assert answer.status == 200, answer.body
    return list(answer.lines)


def test_jobs_run_one_after_another(board: RunningGateway) -> None:
    """A job is published when all jobs before it have ended; until then it names them."""
    first, second = submit(board), submit(board)
    third = submit(board, after=[first, second])
    fourth = submit(board, after=[third])
    board.becomes(first, "queued")
    view = board.ask("GET", f"/jobs/{third}").json
    assert view["after"] == [first, second]
    assert view["waiting"] == f"runs after job {first} and 1 other, which have not ended"
    assert [job["id"] for job in board.ask("GET", f"/jobs/{first}/followers").json["jobs"]] == [third]
    board.finish(first)
    board.becomes(first, "succeeded")
    assert board.ask("GET", f"/jobs/{third}").json["state"] == "accepted"
    board.finish(second)
    board.becomes(third, "queued")
    assert board.ask("GET", f"/jobs/{fourth}").json["waiting"] == f"runs after job {third}, which has not ended"
    after_an_ended_one = submit(board, after=[first])
    board.becomes(after_an_ended_one, "queued")


def test_results_become_arguments(board: RunningGateway) -> None:
    """A result becomes an argument, also nested and in the same batch; then the kind's signature is checked."""
    answers = batch(
        board,
        {"ref": "sum", "task": "total", "args": [[{"$result": "a"}, 1.5]]},
        {"ref": "a"},
        {"ref": "bad", "args": [{"$result": "a"}]},
    )
    a, total, bad = (str(answers[n]["id"]) for n in (1, 0, 2))
    board.finish(a, value=40.5)
    board.becomes(total, "queued")
    row = board.gateway.appliance.outbox.reader.get(total)
    assert row.call() == ([[40.5, 1.5]], {})
    order = board.layout.orders / f"{bad}.fail"
    deadline = time.monotonic() + 10
    while not order.exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert json.loads(order.read_bytes())["code"] == "bad-arguments"
    assert "argument 'text'" in json.loads(order.read_bytes())["message"]


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ([{"after": ["nobody"]}], ["after: no job 'nobody'"]),
        ([{"ref": "a", "after": ["b"]}, {"ref": "b", "after": ["a"]}, {}], ["waits for itself"] * 2 + [""]),
        ([{"ref": "a", "args": [1, 2, 3]}, {"after": ["a"]}], ["given by place", "line 1, 'a', was refused"]),
        ([{"ref": "a"}, {"ref": "a"}], ["", "line 1 has it already"]),
        ([{"args": [{"$result": "a b"}]}], ["job id 'a b'"]),
        ([{"after": ["x" * 129]}], ["after"]),
        ([{"ref": "../x"}], ["ref"]),
    ],
)
def test_a_line_that_cannot_wait_gets_one_sentence(
    board: RunningGateway, lines: list[dict[str, object]], says: list[str]
) -> None:
    """A bad line gets one sentence, and other lines are accepted."""
    answers = batch(board, *lines)
    for answer, expected in zip(answers, says, strict=True):
        problem = answer.get("problem")
        assert (problem is not None) == bool(expected), answer
        if isinstance(problem, dict):
            assert expected in problem["detail"]
            assert problem["status"] in (400, 404, 422)


def test_ten_megabytes_of_names_get_one_sentence(board: RunningGateway) -> None:
    """Ten megabytes of ids, or a thousand and one ids, get one sentence."""
    many = {"task": "echo", "args": ["x"], "after": ["0" * 36] * 270_000}
    answer = board.ask("POST", "/jobs", many)
    assert (answer.status, "\n" in answer.json["detail"]) == (413, False)
    answer = board.ask("POST", "/jobs", {**many, "after": ["0" * 36] * 1001})
    assert answer.status == 400
    assert "after" in answer.json["detail"]


def test_a_unique_key_brings_the_job_that_is_open(board: RunningGateway) -> None:
    """A submit with the unique key of an open job gets 200 with its id; after its end it makes a new job."""
    first = submit(board, unique_key="refresh")
    again = board.ask("POST", "/jobs", {"task": "echo", "args": ["other"], "unique_key": "refresh"})
    assert (again.status, again.json["id"]) == (200, first)
    board.becomes(first, "queued")
    board.finish(first)
    board.becomes(first, "succeeded")
    assert submit(board, unique_key="refresh") != first


def test_the_priority_of_an_open_job_can_be_changed(board: RunningGateway) -> None:
    """The priority of an open job can be changed; that of an ended job, or to a bad value, cannot."""
    job_id = submit(board, delay_s=100, priority=2)
    assert board.ask("GET", f"/jobs/{job_id}").json["priority"] == 2
    assert board.ask("PATCH", f"/jobs/{job_id}", {"priority": 9}).json["priority"] == 9
    for priority in (10, -1, 1.5, "9", None):
        answer = board.ask("PATCH", f"/jobs/{job_id}", {"priority": priority})
        assert (answer.status, "priority" in answer.json["detail"]) == (400, True)
    board.finish(job_id)
    board.becomes(job_id, "succeeded")
    assert board.ask("PATCH", f"/jobs/{job_id}", {"priority": 9}).status == 409
    assert board.ask("PATCH", "/jobs/nobody", {"priority": 9}).status == 404
