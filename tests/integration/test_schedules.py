"""Periodic jobs over HTTP: made, shown, changed, run, refused with a sentence, and kept over a restart."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge.access.tokens import Scope, Tokens
from edge.client import Client, Schedule
from edge.core.errors import BadArguments, BadSchedule, UnknownSchedule, UnknownTask
from edge.wire import About
from tests.conftest import MakeConfig
from tests.running_gateway import RunningGateway, StartGateway

NIGHTLY = {"task": "echo", "args": ["hi"], "cron": "30 2 * * *", "timezone": "Europe/Berlin"}
TICK = {"task": "echo", "args": ["hi"], "every_s": 1, "overlap": "allow"}


def until(what: Callable[[], bool]) -> None:
    """Wait until `what()` is true."""
    deadline = time.monotonic() + 30
    while not what():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.05)


def _slots(gateway: RunningGateway, name: str) -> list[dict[str, Any]]:
    return list(gateway.ask("GET", f"/schedules/{name}").json.get("slots", []))


def test_a_schedule_is_made_and_shown(gateway: RunningGateway) -> None:
    """A new schedule gets 201 with a sentence and the next five times; the same again gets 200."""
    answer = gateway.ask("PUT", "/schedules/nightly", NIGHTLY)
    assert answer.status == 201
    view = answer.json
    assert view["sentence"].startswith("every day at 02:30 (Europe/Berlin); next: ")
    assert [text[10:16] for text in view["next"]] == ["T02:30"] * 5
    assert gateway.ask("PUT", "/schedules/nightly", NIGHTLY).status == 200
    assert [each["name"] for each in gateway.ask("GET", "/schedules").json["schedules"]] == ["nightly"]


def test_slots_make_jobs_within_a_second(gateway: RunningGateway) -> None:
    """Each slot names its job, which exists."""
    gateway.ask("PUT", "/schedules/tick", TICK)
    until(lambda: len(_slots(gateway, "tick")) >= 3)
    for slot in _slots(gateway, "tick"):
        assert slot["fate"] == "ran"
        assert gateway.ask("GET", f"/jobs/{slot['job']}").json["task"] == "echo"


def test_an_overlapping_slot_is_skipped_with_its_reason(gateway: RunningGateway) -> None:
    """An overlapping slot is skipped with its reason; the first job does not end, because no worker runs here."""
    gateway.ask("PUT", "/schedules/tick", TICK | {"overlap": "skip"})
    until(lambda: len(_slots(gateway, "tick")) >= 2)
    slots = _slots(gateway, "tick")
    assert slots[-1]["fate"] == "ran"
    assert slots[0]["reason"] == f"job {slots[-1]['job']} of an earlier slot has not ended"


def test_a_queued_slot_waits_for_the_job_before_it(gateway: RunningGateway) -> None:
    """Every slot has its job at once, which is released when the previous has ended, with the schedule's priority."""
    gateway.ask("PUT", "/schedules/tick", TICK | {"overlap": "queue", "priority": 8})
    until(lambda: len(_slots(gateway, "tick")) >= 2)
    second, first = _slots(gateway, "tick")[-2:]
    assert (first["fate"], second["fate"]) == ("ran", "ran")
    view = gateway.ask("GET", f"/jobs/{second['job']}").json
    assert view["priority"] == 8
    assert first["job"] in view["waiting"]


def test_a_slot_is_one_job_over_a_restart(gateway: RunningGateway, start_gateway: StartGateway) -> None:
    """A slot due during a restart is decided afterwards: one job runs for all missed slots."""
    gateway.ask("PUT", "/schedules/tick", TICK)
    until(lambda: len(_slots(gateway, "tick")) >= 1)
    gateway.stop()
    time.sleep(2.5)
    again = start_gateway(gateway.config)
    until(lambda: any(slot["fate"] == "coalesced" for slot in _slots(again, "tick")))
    again.ask("POST", "/schedules/tick/pause")
    ran = [slot for slot in _slots(again, "tick") if slot["fate"] == "ran"]
    assert len({slot["job"] for slot in ran}) == len(ran)
    assert len(again.ask("GET", "/jobs?limit=500").json["jobs"]) == len(ran)


def test_a_pause_skips_and_says_so(gateway: RunningGateway) -> None:
    gateway.ask("PUT", "/schedules/tick", TICK)
    assert gateway.ask("POST", "/schedules/tick/pause", {}).json["paused"]
    until(lambda: any(slot.get("reason") == "paused" for slot in _slots(gateway, "tick")))
    resumed = gateway.ask("POST", "/schedules/tick/resume", {}).json
    assert not resumed.get("paused")
    assert any(slot.get("reason") == "paused" for slot in resumed["slots"])


def test_a_run_by_hand_is_a_job_of_its_own(gateway: RunningGateway) -> None:
    """A run by hand is a separate job; the same key gives the same job."""
    gateway.ask("PUT", "/schedules/nightly", NIGHTLY)
    first = gateway.ask("POST", "/schedules/nightly/run", {}, Idempotency_Key="a")
    second = gateway.ask("POST", "/schedules/nightly/run", Idempotency_Key="a")
    assert (first.status, second.status) == (202, 200)
    assert first.json["id"] == second.json["id"]
    assert [(slot["job"], slot["reason"]) for slot in _slots(gateway, "nightly")] == [(first.json["id"], "by hand")]


def test_a_page_of_somebody_else_cannot_run_it(gateway: RunningGateway) -> None:
    """A foreign page cannot run a schedule: the browser sends its origin, and cannot send JSON without asking first."""
    gateway.ask("PUT", "/schedules/nightly", NIGHTLY)
    assert gateway.ask("POST", "/schedules/nightly/run", Origin="http://elsewhere.example").status == 415


def test_a_removed_schedule_leaves_its_jobs(gateway: RunningGateway) -> None:
    gateway.ask("PUT", "/schedules/nightly", NIGHTLY)
    job = gateway.ask("POST", "/schedules/nightly/run", {}).json["id"]
    assert gateway.ask("DELETE", "/schedules/nightly").status == 204
    assert gateway.ask("GET", "/schedules/nightly").status == 404
    assert gateway.ask("GET", f"/jobs/{job}").status == 200


@pytest.mark.parametrize(
    ("name", "change", "code"),
    [
        ("..%2Fx", {}, "bad-schedule"),
        ("a" * 65, {}, "bad-schedule"),
        ("x", {"cron": "61 * * * *"}, "bad-schedule"),
        ("x", {"cron": "0 0 30 2 *"}, "bad-schedule"),
        ("x", {"cron": "* " * 50_000}, "bad-schedule"),
        ("x", {"every_s": 60}, "bad-schedule"),
        ("x", {"cron": None}, "bad-schedule"),
        ("x", {"timezone": "../x"}, "bad-schedule"),
        ("x", {"task": "nope"}, "unknown-task"),
        ("x", {"args": [1, 2, 3]}, "bad-arguments"),
        ("x", {"missed": "sometimes"}, "bad-request"),
        ("x", {"within_s": 0}, "bad-request"),
        ("x", {"priority": 10}, "bad-request"),
        ("x", {"surprise": 1}, "bad-request"),
    ],
)
def test_what_cannot_be_read_gets_one_sentence(
    gateway: RunningGateway, name: str, change: dict[str, Any], code: str
) -> None:
    answer = gateway.ask("PUT", f"/schedules/{name}", NIGHTLY | change)
    assert (answer.json["code"], answer.status // 100) == (code, 4)
    assert "\n" not in answer.json["detail"]
    assert len(answer.json["detail"]) < 500


def test_a_token_changes_its_own_schedules_only(make_config: MakeConfig, start_gateway: StartGateway) -> None:
    gateway = start_gateway(make_config(gateway={"loopback_without_token": False}))
    tokens = Tokens(gateway.layout.tokens)
    own, other, reader = (
        f"Bearer {tokens.add(name, [scope])}"
        for name, scope in (("me", Scope.SUBMIT), ("other", Scope.SUBMIT), ("eye", Scope.READ))
    )
    assert gateway.ask("PUT", "/schedules/nightly", NIGHTLY, Authorization=own).status == 201
    assert gateway.ask("PUT", "/schedules/nightly", NIGHTLY, Authorization=other).status == 403
    assert gateway.ask("GET", "/schedules/nightly", Authorization=other).status == 404
    assert gateway.ask("GET", "/schedules/nightly", Authorization=reader).status == 200
    assert gateway.ask("DELETE", "/schedules/nightly", Authorization=reader).status == 403
    assert gateway.ask("GET", "/schedules", Authorization=other).json["schedules"] == []


def test_the_client_does_all_of_it(gateway: RunningGateway) -> None:
    with Client(f"http://127.0.0.1:{gateway.port}") as client:
        schedules = client.schedules
        nightly = Schedule("echo", ["hi"], cron="@daily", timezone="UTC")
        assert schedules.put("a", nightly).sentence.startswith("every day at 00:00 (UTC)")
        assert [view.name for view in schedules.list()] == ["a"]
        assert schedules.run("a").task == "echo"
        assert schedules.pause("a").paused
        assert not schedules.resume("a").paused
        assert schedules.get("a").slots[0].reason == "by hand"
        schedules.remove("a")
        refused: tuple[tuple[Callable[[], object], type[Exception]], ...] = (
            (lambda: schedules.get("a"), UnknownSchedule),
            (lambda: schedules.get("../a"), BadSchedule),
            (lambda: schedules.put("a", Schedule("echo", ["hi"], cron="x")), BadSchedule),
            (lambda: schedules.put("a", Schedule("echo", cron="@daily")), BadArguments),
            (lambda: schedules.put("a", Schedule("nope", cron="@daily")), UnknownTask),
        )
        for wrong, error in refused:
            with pytest.raises(error):
                wrong()


def test_events_tell_what_became_of_slots(gateway: RunningGateway) -> None:
    with Client(f"http://127.0.0.1:{gateway.port}") as client:
        events = client.events(about="schedule")
        client.schedules.put("tick", Schedule("echo", ["hi"], every_s=1, overlap="allow"))  # type: ignore[arg-type]
        deeds = []
        for event in events:
            assert event.about is About.SCHEDULE
            assert event.schedule is not None
            deeds.append(event.schedule.deed.value)
            if "ran" in deeds:
                break
        assert deeds == ["made", "ran"]


def test_metrics_count_schedules_and_slots(gateway: RunningGateway) -> None:
    gateway.ask("PUT", "/schedules/tick", TICK)
    until(lambda: bool(_slots(gateway, "tick")))
    text = gateway.ask("GET", "/metrics").body.decode()
    assert 'edge_schedules{state="active"} 1.0' in text
    assert 'edge_slots_total{fate="ran"} 0.0' not in text


PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "schedules.md").read_text()


def example(name: str) -> str:
    """Return the block of docs/how-to/schedules.md under the mark of this name, with a kind of job that exists here."""
    (code,) = re.findall(rf"<!-- test: {re.escape(name)} -->\n```\w+\n(.*?)```", PAGE, re.DOTALL)
    code = re.sub(r'solve 1 "[^"]*"', "echo hello", code)
    code = re.sub(r'"solve", \[1, "[^"]*"\]', '"echo", ["hello"]', code)
    return re.sub(r'task: solve\n  args: \[1, "[^"]*"\]', "task: echo\n  args: [hello]", code)


@pytest.fixture
def environment(gateway: RunningGateway) -> dict[str, str]:
    """The environment of a command for this gateway."""
    env = {key: value for key, value in os.environ.items() if not key.startswith("EDGE_")}
    path = f"{Path(sys.executable).parent}{os.pathsep}{env['PATH']}"
    return env | {"EDGE_URL": f"http://127.0.0.1:{gateway.port}", "HOME": "/nonexistent", "PATH": path}


@pytest.mark.parametrize("name", ["commands", "schedules.py"])
def test_the_examples_of_the_page_run_as_they_stand(environment: dict[str, str], name: str) -> None:
    argv = [sys.executable, "-c", example(name)] if name.endswith(".py") else ["bash", "-euc", example(name)]
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stderr
    expected = "every day at 12:00 (UTC); next: " if name.endswith(".py") else "2026-03-29T03:00:00+02:00"
    assert expected in done.stdout


def test_the_file_of_the_page_is_applied_once(environment: dict[str, str], tmp_path: Path) -> None:
    """The first command shows what would change (exit 1), the second changes it, the third finds no difference."""
    (tmp_path / "schedules.yaml").write_text(example("schedules.yaml"))
    codes, outs = [], []
    for line in example("apply").splitlines():
        done = subprocess.run(
            ["bash", "-euc", line],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        codes.append(done.returncode)
        outs.append(done.stdout + done.stderr)
    assert codes == [1, 0, 0]
    assert "add nightly: echo, every day at 02:30 (Europe/Berlin)" in outs[0]
    assert outs[2] == "nothing to change\n"
