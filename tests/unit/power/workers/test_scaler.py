"""Tests of the scaler: files of the gateway and of the workers go in, decisions and start requests come out."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edge.config import Config, load
from edge.core.host import boot_id
from edge.model import (
    Backlog,
    OpenJobs,
    Power,
    PowerState,
    PowerStatus,
    RunningJob,
    ScaledWorkers,
    ScalingStatus,
    WaitReason,
    WorkerState,
    WorkerStatus,
)
from edge.power.workers import by_hand, left
from edge.power.workers.scaler import Scaler

WORKERS = "[{name: main}, {name: extra, max: auto, drain_target_s: 1, down_after_s: 10, start_cost_s: 0}]"
GOOD = PowerStatus(PowerState.NORMAL, "", "")
LOW = PowerStatus(PowerState.LOW, "battery", "")


class Played:
    """A simulated board with four cores. A test sets which workers live and which jobs wait."""

    def __init__(self, folder: Path, workers: str = WORKERS) -> None:
        (folder / "edge.yaml").write_text(f"root: state\nrun: run\nworkers: {workers}\n")
        self.config: Config = load(folder / "edge.yaml", {}).config
        self.layout = self.config.layout
        self.logged = list[str]()
        self.layout.run.mkdir()
        self.worker("main")
        self.scaler = Scaler(self.config, self.logged.append)
        self.now_s = 1000.0

    def worker(self, name: str, state: WorkerState = WorkerState.IDLE, **more: Any) -> None:
        status = WorkerStatus(name, os.getpid(), boot_id(), state, **more)
        self.layout.worker(name).write_bytes(msgspec.json.encode(status))

    def waits(self, *rows: OpenJobs, pid: int | None = None) -> None:
        self.layout.backlog.parent.mkdir(parents=True, exist_ok=True)
        backlog = Backlog(boot_id(), os.getpid() if pid is None else pid, 0.0, rows)
        self.layout.backlog.write_bytes(msgspec.json.encode(backlog))
        self.scaler.changed()

    def turn(self, *, after_s: float = 0.0, power: PowerStatus = GOOD) -> ScaledWorkers:
        """Return the scaler's report on the first entry after another turn."""
        self.now_s += after_s
        self.scaler.turn(self.now_s, power)
        return msgspec.json.decode(self.layout.scaling.read_bytes(), type=ScalingStatus).entries[0]

    @property
    def asked(self) -> list[str]:
        """The names of the workers whose start is requested."""
        return sorted(path.name for path in self.layout.starts.iterdir())


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Played:
    monkeypatch.setattr(left, "cores", lambda: 4)
    monkeypatch.setattr(left, "memory_bytes", lambda: None)
    return Played(tmp_path)


def jobs(count: int, power: Power = Power.NORMAL, **more: Any) -> OpenJobs:
    return OpenJobs("nap", power, count, seconds=more.pop("seconds", 1.0), **more)


def test_an_idle_board_needs_no_timer(board: Played) -> None:
    report = board.turn()
    assert (report.wanted, report.running, report.workers, report.why) == (0, 0, (), "0 of 3: no job waits")
    board.turn(after_s=2.0)  # a new governor looks once more, because its workers may be about to hold their jobs
    assert board.scaler.wait_s(board.now_s) is None


def test_a_backlog_requests_workers_with_the_reason(board: Played) -> None:
    board.waits(jobs(3))
    report = board.turn()
    assert (report.wanted, report.workers) == (2, ("extra-1", "extra-2"))
    assert board.asked == ["extra-1", "extra-2"]
    assert report.steps[0].wanted == 2
    assert board.logged[-1] == f"workers extra: {report.why}"


def test_the_start_of_a_worker_that_lives_is_not_requested(board: Played) -> None:
    board.worker("extra-1")
    board.waits(jobs(2))
    assert board.turn().running == 1
    assert board.asked == []


def test_workers_retire_when_fewer_were_wanted_for_the_whole_of_down_after_s(board: Played) -> None:
    board.waits(jobs(3))
    board.turn()
    board.worker("extra-1")
    board.worker("extra-2")
    board.waits()
    assert board.turn(after_s=1.0).wanted == 2
    report = board.turn(after_s=10.0)
    assert (report.wanted, report.workers) == (0, ())
    assert board.asked == []
    assert [step.wanted for step in report.steps] == [0, 2]


def test_only_jobs_that_its_workers_take_count(board: Played) -> None:
    from edge.model import Pool

    board.waits(jobs(9, pool=Pool.IO), jobs(9, owner="main"))
    assert board.turn().wanted == 0


def test_the_backlog_of_a_dead_gateway_does_not_count(board: Played) -> None:
    board.waits(jobs(9), pid=2**22 - 1)
    assert board.turn().wanted == 0


def test_a_node_scales_by_the_backlog_of_its_head(board: Played, tmp_path: Path) -> None:
    (tmp_path / "node.yaml").write_text(
        f"root: state\nrun: run\nworkers: {WORKERS}\nnode: {{head_url: 'http://127.0.0.1:1', token_file: token}}\n"
    )
    config = load(tmp_path / "node.yaml", {}).config
    board.scaler = Scaler(config, board.logged.append)
    board.waits(jobs(9))  # the backlog of a gateway, which a node does not have
    assert board.turn().wanted == 0
    backlog = Backlog(boot_id(), os.getpid(), 0.0, (jobs(3),))
    config.layout.head_backlog.write_bytes(msgspec.json.encode(backlog))
    board.scaler.changed()
    assert board.turn().wanted == 2


def test_low_power_retires_further_workers_at_once(board: Played) -> None:
    board.waits(jobs(3))
    board.turn()
    report = board.turn(after_s=1.0, power=LOW)
    assert (report.wanted, report.why) == (0, "0 of 3: power is low")


def test_a_job_of_class_always_gets_a_worker_where_held_jobs_stop_all_others(board: Played) -> None:
    held = RunningJob("1", "nap", 0.0, held=WaitReason(0.0, "power is low"))
    board.worker("main", WorkerState.HELD, job=held)
    board.waits(jobs(1), jobs(1, Power.ALWAYS))
    report = board.turn(power=LOW)
    assert (report.wanted, report.workers) == (1, ("extra-1",))


def test_a_job_that_is_held_later_is_noticed_while_one_of_class_always_waits(board: Played) -> None:
    """No file change reports it, so the scaler looks again after two seconds."""
    board.worker("main", WorkerState.RUNNING, job=RunningJob("1", "nap", 0.0))
    board.waits(jobs(1), jobs(1, Power.ALWAYS))
    assert board.turn(power=LOW).wanted == 0
    assert board.scaler.wait_s(board.now_s) == 2.0


def test_a_count_by_hand_is_obeyed_and_ends(board: Played, monkeypatch: pytest.MonkeyPatch) -> None:
    by_hand.put(board.layout.scale_by_hand, "extra", 2, for_s=60.0)
    board.scaler.changed()
    report = board.turn()
    assert (report.wanted, report.why) == (2, "2 of 3: set by hand, for another 60 s")
    assert report.until is not None
    by_hand.take_away(board.layout.scale_by_hand, "extra")
    board.scaler.changed()
    assert board.turn(after_s=20.0).until is None
    del monkeypatch


def test_a_new_governor_goes_on_with_the_workers_that_live(board: Played) -> None:
    board.worker("extra-2")
    board.scaler = Scaler(board.config, board.logged.append)
    report = board.turn()
    assert (report.wanted, report.workers) == (1, ("extra-2",))


def test_words_alone_are_written_seldom(board: Played) -> None:
    """Each write wakes all readers of the file."""
    board.worker("extra-1")
    board.worker("extra-2")
    board.waits(jobs(3))
    first = board.turn().why
    board.waits(jobs(3, seconds=0.8))
    assert board.turn(after_s=1.0).why == first
    assert board.turn(after_s=4.0).why != first


def test_old_start_requests_are_removed_at_the_start(board: Played) -> None:
    (board.layout.starts / "extra-3").touch()
    Scaler(board.config, board.logged.append)
    assert board.asked == []


def test_a_listed_worker_that_crashes_in_a_loop_is_no_capacity(board: Played) -> None:
    """A scaled worker then does its work. A worker that is only late still counts."""
    board.waits(jobs(1))
    assert board.turn().wanted == 0
    board.layout.worker("main").unlink()
    for _ in range(3):
        board.worker("main")
        board.scaler.changed()
        board.turn(after_s=3.0)
        board.layout.worker("main").unlink()
        board.scaler.changed()
        report = board.turn(after_s=3.0)
    assert (report.wanted, report.workers) == (1, ("extra-1",))


def test_jobs_that_power_holds_back_all_night_wake_nobody(board: Played) -> None:
    board.waits(jobs(5))
    board.turn(power=LOW)
    board.turn(after_s=2.0, power=LOW)
    assert board.scaler.wait_s(board.now_s) is None
    board.turn(power=GOOD)
    assert board.scaler.wait_s(board.now_s) is not None
