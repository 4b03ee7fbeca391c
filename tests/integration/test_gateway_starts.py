"""A board that looks ahead says when a job starts, and on request refuses a job that would be late."""

from __future__ import annotations

import os
import time

import msgspec
import pytest
import urllib3

from edge.core.host import boot_id
from edge.model import Action, JobState, Plan, PowerState, PowerStatus, Reading, Result, Verdict
from edge.power import status
from edge.power.forecast.outlook import Outlook, Step
from edge.power.planner import outlook_file
from edge.power.planner.records import BoardModel
from edge.results.store import Results
from tests.running_gateway import RunningGateway


@pytest.fixture
def night(gateway: RunningGateway) -> RunningGateway:
    """The battery is at its floor, and the sun is back in four hours."""
    layout, now = gateway.layout, time.time()
    hour = now // 3600 * 3600
    layout.outlook.parent.mkdir(parents=True, exist_ok=True)
    view = Outlook(hour, 3600.0, (Step(0, 0, 0),) * 5 + (Step(6, 10, 12),) * 40, days_learned=20)
    scores = outlook_file.ForecastScores(20, 8.0, 10.0, None, 0.11)
    outlook_file.write(
        layout.outlook, outlook_file.OutlookReport(boot_id(), view, BoardModel(), 37.0, scores, sleeps=True)
    )
    plan = Plan(Action.SLEEP, "14 % is not above the floor", now + 900, 14.0, now + 4 * 3600, 0.0, hour + 5 * 3600)
    readings = (Reading("charger", "charge", 14.0, "%", verdict=Verdict.OK),)
    report = PowerStatus(
        PowerState.LOW,
        "charge-low",
        "charge 14 %",
        boot_id=boot_id(),
        pid=os.getpid(),
        monotonic=time.monotonic(),
        readings=readings,
        plan=plan,
    )
    status.write(layout.power, report)
    return gateway


def test_the_answer_to_a_submit_tells_when_the_job_starts(night: RunningGateway) -> None:
    """The start is about when the sun has charged the battery a little; sentence and record agree."""
    answer = night.ask("POST", "/jobs", {"task": "echo", "args": ["hello"]})
    assert answer.status == 202
    starts, sun = answer.json["starts"], time.time() // 3600 * 3600 + 5 * 3600
    assert sun <= starts["likely"] <= sun + 3600
    assert starts["early"] <= starts["likely"] <= starts["late"]
    assert "starts " in answer.json["waiting"]
    assert ", most likely " in answer.json["waiting"]
    shown = night.ask("GET", f"/jobs/{answer.json['id']}").json
    assert shown["starts"]["likely"] == pytest.approx(starts["likely"], abs=900)


def test_what_will_not_be_in_time_is_refused_on_request_only(night: RunningGateway) -> None:
    body = {"task": "echo", "args": ["hello"], "deadline_s": 3600}
    answer = night.ask("POST", "/jobs?only_if_in_time=true", body)
    assert (answer.status, answer.json["code"]) == (409, "not-in-time")
    assert answer.json["detail"].startswith("will not fit before its deadline; most likely ")
    taken = night.ask("POST", "/jobs", body)
    assert taken.status == 202
    assert "will not fit before its deadline; starts " in taken.json["waiting"]
    assert night.ask("POST", "/jobs?only_if_in_time=true", body | {"deadline_s": 36_000}).status == 202


def test_a_job_without_a_deadline_is_in_time_whenever_it_ends(night: RunningGateway) -> None:
    answer = night.ask("POST", "/jobs?only_if_in_time=true", {"task": "echo", "args": ["hello"]})
    assert answer.status == 202


def test_a_start_that_came_true_counts_in_status_and_metrics(night: RunningGateway) -> None:
    job = night.ask("POST", "/jobs", {"task": "echo", "args": ["hello"]}).json
    likely = job["starts"]["likely"]
    result = Result(job["id"], "echo", JobState.SUCCEEDED, "hello", started_at=likely, finished_at=likely + 1)
    results = Results(night.layout)
    results.publish(result, results.stage(job["id"]))
    night.becomes(job["id"], "succeeded")
    forecast = night.ask("GET", "/status").json["forecast"]
    assert (forecast["days"], forecast["starts"], forecast["starts_held"]) == (20, 1, 1.0)
    metrics = night.ask("GET", "/metrics").body.decode()
    assert "edge_start_times_held_ratio 1.0" in metrics
    assert 'edge_plan{action="sleep"} 1.0' in metrics
    assert 'edge_forecast_error_watt_hours{forecast="own"} 8.0' in metrics
    assert msgspec.json.decode(night.ask("GET", "/status").body)["power"]["plan"]["floor_percent"] == 14.0


def test_without_a_plan_no_start_is_predicted(gateway: RunningGateway) -> None:
    answer = gateway.ask("POST", "/jobs", {"task": "echo", "args": ["hello"]})
    assert "starts" not in answer.json
    assert "forecast" not in gateway.ask("GET", "/status").json


def test_the_page_shows_plan_and_night_budget(night: RunningGateway) -> None:
    """The page of the board, as a browser on the board gets it."""
    night.ask("POST", "/jobs", {"task": "echo", "args": ["hello"]})
    shown = urllib3.request("GET", f"http://127.0.0.1:{night.port}/", headers={"Accept": "text/html"})
    text = shown.data.decode()
    assert shown.status == 200
    assert "<b>Plan</b> sleep:" in text
    assert "<b>Night budget</b>" in text
    assert "the sun is back" in text


def test_each_job_of_a_batch_tells_when_it_starts(night: RunningGateway) -> None:
    """A later job of the batch does not start before an earlier one."""
    lines = b"".join(msgspec.json.encode({"task": "echo", "args": [str(number)]}) + b"\n" for number in range(50))
    answer = night.ask("POST", "/jobs/batch", lines, Content_Type="application/x-ndjson")
    found = [msgspec.json.decode(line) for line in answer.body.splitlines()]
    likely = [line["starts"]["likely"] for line in found]
    assert len(likely) == 50
    assert likely == sorted(likely)


def test_a_job_for_surplus_power_tells_when_it_starts(night: RunningGateway) -> None:
    """It starts later than a job for normal power, and earlier if normal power is enough from some time on."""
    usual = night.ask("POST", "/jobs", {"task": "echo", "args": ["a"]}).json["starts"]["likely"]
    body = {"task": "echo", "args": ["b"], "power": "surplus"}
    surplus = night.ask("POST", "/jobs", body).json["starts"]["likely"]
    assert surplus > usual + 1800
    answer = night.ask("POST", "/jobs", body | {"deadline_s": 3600})
    assert usual <= answer.json["starts"]["likely"] < surplus
    assert "will not fit" not in answer.json["waiting"]
