"""A real governor and a real gateway let the board sleep, with an alarm that is a file and a fake systemctl."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edge.config import load
from edge.core.host import boot_id
from edge.model import PowerState, RunningJob, SleepAnswer, WaitReason, WorkerState, WorkerStatus
from tests.running_gateway import RunningGateway, StartGateway
from tests.running_governor import RunningGovernor, governor, until

FAST = {"sample_s": 0.2, "fast_s": 0.1, "slow_s": 0.2, "stable_after_s": 0}
POLICY = {"low_samples": 1, "good_samples": 1, "critical_samples": 1, "unknown_samples": 1, "resume_after_s": 0}


class Board:
    """Low power, and a gateway without clients."""

    def __init__(self, folder: Path, running: RunningGovernor, start: StartGateway) -> None:
        self.folder, self.running = folder, running
        config = load(running.config).config
        trusting = msgspec.structs.replace(config.gateway, port=0, loopback_without_token=True)
        self.gateway: RunningGateway = start(msgspec.structs.replace(config, gateway=trusting))

    @property
    def alarm(self) -> str:
        return (self.folder / "wakealarm").read_text()

    @property
    def calls(self) -> str:
        calls = self.folder / "calls"
        return calls.read_text() if calls.exists() else ""

    @property
    def log(self) -> str:
        return self.running.log.read_text()

    def goes_down(self) -> None:
        until(lambda: "poweroff" in self.calls or None, lambda: f"poweroff; {self.log}")

    def stays(self, why: str) -> None:
        until(lambda: f"stays awake: {why}" in self.log or None, lambda: f"stays awake: {why}; {self.log}")
        assert self.calls == ""


def settings(folder: Path, *, state: str = "low", grace_s: float = 0.0, **sleep: Any) -> dict[str, Any]:
    systemctl = folder / "systemctl"
    systemctl.write_text(f'#!/bin/sh\necho "$@" >> {folder}/calls\n')
    systemctl.chmod(0o755)
    critical = {
        "systemctl": str(systemctl), "wakealarm": str(folder / "wakealarm"), "stop_units": ["edge.target"],
        "grace_s": grace_s,
    }  # fmt: skip
    return {
        "sources": [{"kind": "simulated", "start": state}],
        "sampling": FAST,
        "policy": POLICY,
        "critical": critical,
        "sleep": {"when": "low", "quiet_s": 0, "min_awake_s": 60, "boot_s": 60, "max_s": 3600, **sleep},
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "wakealarm").touch()
    return tmp_path


@pytest.fixture
def board(folder: Path, start_gateway: StartGateway, request: pytest.FixtureRequest) -> Iterator[Board]:
    """A board with the settings of the test."""
    wanted: dict[str, Any] = getattr(request, "param", {})
    submit = wanted.pop("submit", None)
    with governor(folder, settings(folder, state="normal", **wanted)) as running:
        running.until(PowerState.NORMAL)
        made = Board(folder, running, start_gateway)
        if submit is not None:
            assert made.gateway.ask("POST", "/jobs", submit).status == 202
        running.layout.simulated.write_text("low")
        yield made


def test_it_goes_down_and_its_alarm_brings_it_back(board: Board) -> None:
    """The sleep uses the shutdown of critical: units, alarm, power-off; the status says until when."""
    board.goes_down()
    assert board.calls == "stop edge.target\npoweroff\n"
    assert board.alarm == "+3600"
    status = board.running.status()
    assert (status.state, status.code) == (PowerState.CRITICAL, "sleep")
    assert status.reason.endswith("power.sleep.max_s is over")
    assert status.resumes_at is not None
    assert 3500 < status.resumes_at - time.time() < 3700
    assert board.gateway.ask("GET", "/status").json["awake_at"] == pytest.approx(status.resumes_at, abs=5)


@pytest.mark.parametrize("board", [{"submit": {"task": "echo", "args": ["x"], "power": "always"}}], indirect=True)
def test_it_stays_for_a_job_that_may_run(board: Board) -> None:
    """The board stays on for a job of class `always`, which may run at low power."""
    board.stays("1 job of class always may run")


@pytest.mark.parametrize("board", [{"submit": {"task": "echo", "args": ["x"]}}], indirect=True)
def test_a_job_that_may_not_run_waits_through_the_sleep(board: Board) -> None:
    """A job that may not run stays in the ledger during the sleep."""
    board.goes_down()


@pytest.mark.parametrize(
    "board", [{"submit": {"task": "echo", "args": ["x"], "power": "always", "delay_s": 1800}}], indirect=True
)
def test_it_wakes_for_a_job_that_is_due(board: Board) -> None:
    """The board wakes before a job is due, by the time of a boot."""
    board.goes_down()
    assert 1700 <= float(board.alarm[1:]) <= 1740


@pytest.mark.parametrize(
    "board", [{"submit": {"task": "echo", "args": ["x"], "power": "always", "delay_s": 120}}], indirect=True
)
def test_it_does_not_go_for_two_minutes(board: Board) -> None:
    """A sleep of two minutes is not taken, because the boot would cost more than it saves."""
    board.stays("a job is due in")


@pytest.mark.parametrize("board", [{"quiet_s": 600}], indirect=True)
def test_it_stays_while_somebody_uses_it(board: Board) -> None:
    """After a recent request the board stays on, because somebody may want to see the result."""
    board.stays("somebody used it")


def test_an_open_stream_of_events_keeps_it_awake(folder: Path, start_gateway: StartGateway) -> None:
    """An open stream of events, as an open page has, keeps the board on."""
    with governor(folder, settings(folder, state="normal")) as running:
        running.until(PowerState.NORMAL)
        board = Board(folder, running, start_gateway)
        with _reading(board):
            running.layout.simulated.write_text("low")
            board.stays("1 request being answered")


class _reading:  # noqa: N801 - a block
    """A context with an open stream of events."""

    def __init__(self, board: Board) -> None:
        self._pool = board.gateway._pool
        self._url = f"http://127.0.0.1:{board.gateway.port}/v1/events"

    def __enter__(self) -> None:
        self._answer = self._pool.request("GET", self._url, preload_content=False)

    def __exit__(self, *_: object) -> None:
        self._answer.close()


def test_without_an_alarm_it_does_not_go(folder: Path, start_gateway: StartGateway) -> None:
    """Without an alarm the board could not come back, so it takes a light sleep, which can be undone."""
    (folder / "wakealarm").unlink()
    with governor(folder, settings(folder, state="low")) as running:
        running.until(PowerState.LOW)
        board = Board(folder, running, start_gateway)
        until(lambda: "it cannot go down" in board.log or None, lambda: board.log)
        assert board.calls == ""
        assert running.layout.sleep_light.read_text() == "on\n"


def test_an_alarm_that_is_not_taken_keeps_it_awake(folder: Path, start_gateway: StartGateway) -> None:
    """If the alarm cannot be set, no unit is stopped, and the board stays on."""
    (folder / "wakealarm").unlink()
    (folder / "wakealarm").symlink_to("/dev/full")
    with governor(folder, settings(folder, state="low")) as running:
        board = Board(folder, running, start_gateway)
        until(lambda: "does not sleep: no wake alarm" in board.log or None, lambda: board.log)
        running.until(PowerState.LOW)
        assert board.calls == ""


def test_a_job_that_comes_at_the_last_moment_calls_it_off(folder: Path, start_gateway: StartGateway) -> None:
    """A job during the last checkpoint cancels the sleep: the submit gets a retry, and then the job is accepted."""
    with governor(folder, settings(folder, state="low", grace_s=20.0)) as running:
        running.until(PowerState.LOW)
        held = RunningJob("a1", "echo", time.time(), held=WaitReason(time.time(), "power is low"))
        worker = WorkerStatus("main", os.getpid(), boot_id(), WorkerState.HELD, job=held)
        running.layout.worker("main").write_bytes(msgspec.json.encode(worker))
        board = Board(folder, running, start_gateway)
        running.until("sleep")
        job = {"task": "echo", "args": ["x"], "power": "always"}
        refused = board.gateway.ask("POST", "/jobs", job)
        assert (refused.status, refused.json["code"], refused.headers["Retry-After"]) == (503, "asleep", "3")
        assert refused.json["awake_at"] > time.time() + 3000
        assert board.gateway.ask("POST", "/jobs", job).status == 202
        running.layout.worker("main").unlink()
        until(lambda: "does not sleep: a job came that may run" in board.log or None, lambda: board.log)
        running.until(PowerState.LOW)
        assert board.calls == ""


def test_a_job_that_may_not_run_is_taken_on_the_way_down(folder: Path, start_gateway: StartGateway) -> None:
    """A job that may not run is accepted during the shutdown, and its submitter learns when to ask again."""
    with governor(folder, settings(folder, state="low", grace_s=20.0)) as running:
        running.until(PowerState.LOW)
        worker = WorkerStatus("main", os.getpid(), boot_id(), WorkerState.HELD)
        running.layout.worker("main").write_bytes(msgspec.json.encode(worker))
        board = Board(folder, running, start_gateway)
        running.until("sleep")
        taken = board.gateway.ask("POST", "/jobs", {"task": "echo", "args": ["x"]})
        assert taken.status == 202
        assert 3000 < int(taken.headers["Retry-After"]) < 4000


def test_a_gateway_that_does_not_answer_keeps_it_awake(folder: Path) -> None:
    """A gateway that does not answer keeps the board on, because unknown is not good."""
    with governor(folder, settings(folder, state="low")) as running:
        running.until(PowerState.LOW)
        ask = until(lambda: running.layout.sleep_ask.exists() or None, running.log.read_text)
        assert ask
        answer = SleepAnswer("another", boot_id(), 1, agreed=True)
        running.layout.sleep_answer.write_bytes(msgspec.json.encode(answer))
        threading.Event().wait(0.5)
        assert not (folder / "calls").exists()
