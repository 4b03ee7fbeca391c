"""The sleeper, turn by turn. The tests write the files that a gateway and workers would write."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edge.config import Config
from edge.config.power import CriticalConfig, PowerConfig
from edge.config.records import NodeConfig
from edge.config.sleep import AcceptConfig, SleepConfig
from edge.core import clock
from edge.core.host import boot_id
from edge.model import (
    Action,
    LastSleep,
    Plan,
    PowerState,
    PowerStatus,
    RunningJob,
    SleepAnswer,
    SleepAsk,
    WorkerState,
    WorkerStatus,
)
from edge.power.sleep import costs
from edge.power.sleep.order import SleepOrder
from edge.power.sleep.sleeper import Sleeper

LOW = PowerStatus(PowerState.LOW, "charge-low", "charge 29 %")


class Board:
    """Drives the sleeper of a board whose time the test sets."""

    def __init__(self, folder: Path, *, head: str | None = None, **sleep: Any) -> None:
        (folder / "run").mkdir(exist_ok=True)
        (folder / "wakealarm").touch()
        wanted = SleepConfig(**{"when": "low", "boot_s": 60.0, "quiet_s": 100.0, **sleep})
        power = PowerConfig(sleep=wanted, critical=CriticalConfig(wakealarm=folder / "wakealarm"))
        self.config = Config(root=folder / "root", run=folder / "run", power=power, node=NodeConfig(head_url=head))
        self.layout, self.logged = self.config.layout, list[str]()
        self.now = 10_000.0
        self.sleeper = Sleeper(self.config, self.logged.append, minute_of=lambda at: at / 60 % 1440)

    def turn(self, power: PowerStatus = LOW, *, later_s: float = 0.0) -> SleepOrder | None:
        self.now += later_s
        return self.sleeper.turn(self.now, power)

    def question(self) -> SleepAsk | None:
        path = self.layout.sleep_ask
        return msgspec.json.decode(path.read_bytes(), type=SleepAsk) if path.exists() else None

    def answer(self, *, agreed: bool = True, why: str = "", due_s: float | None = None) -> None:
        question = self.question()
        assert question is not None
        answer = SleepAnswer(question.id, boot_id(), os.getpid(), agreed, why, due_s)
        self.layout.sleep_answer.write_bytes(msgspec.json.encode(answer))
        self.sleeper.changed()

    def works(self, state: WorkerState, job: RunningJob | None = None) -> None:
        status = WorkerStatus("main", os.getpid(), boot_id(), state, job=job)
        self.layout.worker("main").write_bytes(msgspec.json.encode(status))


def test_it_asks_and_goes_once_the_gateway_agreed(tmp_path: Path) -> None:
    """It also records when it went to sleep, so that the next boot can learn its duration."""
    board = Board(tmp_path, max_s=7200.0)
    assert board.turn() is None
    assert board.question() is not None
    board.answer()
    order = board.turn()
    assert order is not None
    assert order.alarm_s == 7200.0
    assert order.objection() == ""
    assert costs.read(board.layout.last_sleep) is not None
    board.answer(agreed=False, why="a job came that may run")
    assert order.objection() == "a job came that may run"
    assert board.layout.sleep_awake.exists()


def test_a_refusal_is_logged_once(tmp_path: Path) -> None:
    board = Board(tmp_path)
    for _ in range(3):
        board.turn(later_s=200)
        board.answer(agreed=False, why="somebody used it 5 s ago")
        assert board.turn() is None
        assert board.question() is None
    assert board.logged == ["stays awake: somebody used it 5 s ago"]


def test_a_gateway_that_is_silent_keeps_it_awake(tmp_path: Path) -> None:
    board = Board(tmp_path)
    board.turn()
    assert board.turn(later_s=20) is None
    assert board.logged == ["stays awake: the gateway does not answer"]


def test_a_worker_that_runs_keeps_it_awake(tmp_path: Path) -> None:
    """A worker whose job is held does not, because the state of the job is saved."""
    board = Board(tmp_path)
    board.works(WorkerState.RUNNING, RunningJob("a", "solve", 0.0))
    board.turn()
    assert board.question() is None
    board.works(WorkerState.PAUSED)
    board.turn(later_s=100)
    assert board.question() is not None
    board.layout.frozen("main").write_bytes(b"{}")
    board.answer()
    assert board.turn(later_s=100) is None
    assert board.logged[-1] == "stays awake: worker main is frozen, and its job would begin anew"


@pytest.mark.parametrize("state", [PowerState.NORMAL, PowerState.UNKNOWN, PowerState.PAUSED, PowerState.CRITICAL])
def test_other_states_do_nothing(tmp_path: Path, state: PowerState) -> None:
    board = Board(tmp_path)
    assert board.turn(PowerStatus(state, "x", "x")) is None
    assert board.question() is None
    assert board.sleeper.wait_s(board.now) is None


def test_a_node_waits_until_its_workers_had_nothing_to_do(tmp_path: Path) -> None:
    """A node has no gateway, and its head is not asked. So idle workers decide."""
    board = Board(tmp_path, head="https://head.local:8420")
    board.works(WorkerState.IDLE)
    assert board.turn() is None
    assert board.turn(later_s=60) is None
    assert board.turn(later_s=60) is not None


def test_without_a_known_time_it_stays_where_the_lan_may_expect_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If there are windows, the board may be in one, so it stays awake. Without windows, it sleeps for `max_s`."""
    monkeypatch.setattr(clock, "trusted_now", lambda: None)
    board = Board(tmp_path, accept=(AcceptConfig(from_="08:00", to="09:00"),))
    board.turn()
    assert board.question() is None
    assert board.logged == ["stays awake: the LAN expects the board now (power.sleep.accept)"]
    other = Board(tmp_path, max_s=3600.0, wake_at="11:00")
    other.turn()
    other.answer()
    order = other.turn()
    assert order is not None
    assert order.alarm_s == 3600.0


@pytest.mark.parametrize(("action", "sleeps"), [(Action.WORK, False), (Action.IDLE, False), (Action.SLEEP, True)])
def test_a_plan_decides(tmp_path: Path, action: Action, *, sleeps: bool) -> None:
    """The plan allows the sleep, and sets the alarm. A plan that has expired is ignored."""
    board, now = Board(tmp_path), time.time()
    plan = Plan(action, "as forecast", now + 900, floor_percent=12.0, wake_at=now + 5000)
    planned = msgspec.structs.replace(LOW, plan=plan)
    board.turn(planned)
    assert (board.question() is not None) is sleeps
    if sleeps:
        board.answer()
        order = board.turn(planned)
        assert order is not None
        assert order.alarm_s == pytest.approx(4940, abs=2)
    else:
        over = msgspec.structs.replace(LOW, plan=msgspec.structs.replace(plan, until=now - 1))
        board.turn(over, later_s=100)
        assert board.question() is not None


def test_without_an_alarm_it_sleeps_lightly_until_a_job_comes(tmp_path: Path) -> None:
    board = Board(tmp_path)
    (tmp_path / "wakealarm").unlink()
    board.turn()
    question = board.question()
    assert question is not None
    assert question.light
    board.answer()
    assert board.turn() is None
    assert board.layout.sleep_light.read_text() == "on\n"
    board.answer(agreed=False, why="a job came that may run")
    board.turn()
    assert board.layout.sleep_light.read_text() == "off\n"


def test_requests_of_an_earlier_governor_are_removed(tmp_path: Path) -> None:
    """A new governor ends light sleep and removes the question, so no core stays off."""
    board = Board(tmp_path)
    board.layout.sleep_light.write_text("on\n")
    board.layout.sleep_ask.write_text("{}")
    again = Board(tmp_path)
    assert again.layout.sleep_light.read_text() == "off\n"
    assert again.question() is None


def test_after_a_sleep_that_was_given_up_it_waits(tmp_path: Path) -> None:
    board = Board(tmp_path)
    board.turn()
    board.answer()
    assert board.turn() is not None
    assert board.turn(PowerStatus(PowerState.CRITICAL, "sleep", "goes to sleep")) is None
    assert board.question() is not None  # while the board goes down, the gateway still refuses jobs
    board.turn(LOW, later_s=30)
    assert board.question() is None
    board.turn(LOW, later_s=300)
    assert board.question() is None
    board.turn(LOW, later_s=301)
    assert board.question() is not None


def test_it_learns_the_duration_of_a_boot(tmp_path: Path) -> None:
    """The boot ends when a worker is connected. Ten seconds of firmware are added, and a mean with earlier boots."""
    board = Board(tmp_path, boot_s=None, min_awake_s=60.0)
    costs.write(board.layout.last_sleep, LastSleep(1.0, 2.0, "earlier", boot_s=100.0))
    again = Board(tmp_path, boot_s=None, min_awake_s=60.0)
    again.works(WorkerState.PAUSED)
    again.now = 50.0
    again.turn(PowerStatus(PowerState.NORMAL, "normal", ""))
    assert again.sleeper._costs.boot_s == pytest.approx(0.7 * 100 + 0.3 * 60)


@pytest.mark.parametrize("boot_s", [-5000.0, 0.0, 3601.0, 1e308])
def test_a_boot_time_that_cannot_be_true_is_not_used(tmp_path: Path, boot_s: float) -> None:
    """With -5000 s in the file, the alarm came 5000 s too late."""
    board = Board(tmp_path, boot_s=None)
    costs.write(board.layout.last_sleep, LastSleep(1.0, 2.0, "earlier", boot_s=boot_s))
    assert costs.of(board.config).boot_s == 90.0
    assert costs.read(board.layout.last_sleep) == LastSleep(1.0, 2.0, "earlier")


def test_light_sleep_fits_a_plan_to_idle(tmp_path: Path) -> None:
    """The planner knows only sleep with the power off, so a plan to idle allows light sleep."""
    board = Board(tmp_path, wake="light")
    plan = Plan(Action.IDLE, "no job waits", time.time() + 900, floor_percent=12.0)
    board.turn(msgspec.structs.replace(LOW, plan=plan))
    question = board.question()
    assert question is not None
    assert question.light
