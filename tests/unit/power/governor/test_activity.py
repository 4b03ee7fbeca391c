"""Tests of the readings that the governor takes when a body begins or ends."""

from __future__ import annotations

import math
import os
import time
from pathlib import Path

import msgspec
import pytest

from edge.config.power import CriticalConfig, PowerConfig
from edge.core import durable
from edge.core.host import boot_id
from edge.core.layout import Layout
from edge.model import Energy, Metering, WorkerState, WorkerStatus
from edge.power import status
from edge.power.governor.governor import Governor
from edge.power.sources.plain import PlainConfig
from edge.power.sources.shunt import ShuntConfig
from edge.worker.power.meter import Meter
from tests.running_governor import governor, until


class Board:
    """A governor with a shunt of the board, on files, and a worker whose bodies the test begins and ends."""

    def __init__(self, folder: Path, *, shunt: bool = True) -> None:
        self.layout = Layout(folder / "root", folder / "run")
        for path in (self.layout.policy, self.layout.simulated, self.layout.pause, self.layout.running / "x"):
            path.parent.mkdir(parents=True, exist_ok=True)
        self.chip = chip(folder)
        sources = (PlainConfig(), ShuntConfig(root=self.chip.parent, measures="board", frozen_after_s=0))
        config = PowerConfig(sources=sources if shunt else (PlainConfig(),), critical=CriticalConfig(action="none"))
        self.governor = Governor(config, self.layout, wake=lambda: None)
        self.now = time.monotonic()
        self.governor.turn(self.now)

    def runs(self, job_id: str, *, draws: float, later_s: float = 5.0) -> None:
        """Let a body begin (or end, if `job_id` is empty) and tell the governor."""
        draw(self.chip, draws)
        mark(self.layout, job_id)
        self.now += later_s
        self.governor.workers_changed(self.now)

    @property
    def watts(self) -> float | None:
        """The watts that the governor last wrote for the workers."""
        return next((each.value for each in status.read(self.layout.power).readings if each.what == "watts"), None)


def chip(folder: Path) -> Path:
    path = folder / "hwmon" / "hwmon0"
    path.mkdir(parents=True)
    for name, text in (("name", "ina219"), ("in1_input", "5000"), ("shunt_resistor", "10000")):
        (path / name).write_text(text)
    draw(path, 1.2)
    return path


def draw(path: Path, watts: float) -> None:
    (path / "curr1_input").write_text(str(round(watts / 5 * 1000)))


def mark(layout: Layout, job_id: str) -> None:
    text = msgspec.json.encode({"id": job_id, "boot_id": boot_id(), "pid": os.getpid()}) if job_id else b""
    (layout.running / "main.json").write_bytes(text)


def test_each_body_gets_a_reading_although_another_one_ended_just_before(tmp_path: Path) -> None:
    board = Board(tmp_path)
    board.runs("a", draws=2.5)
    assert board.watts == pytest.approx(2.5)
    board.runs("b", draws=3.0)
    assert board.watts == pytest.approx(3.0)


def test_the_end_of_a_body_wakes_no_worker(tmp_path: Path) -> None:
    board = Board(tmp_path)
    board.runs("a", draws=2.5)
    before = board.layout.power.stat().st_ino
    board.runs("", draws=1.2)
    assert board.layout.power.stat().st_ino == before
    assert board.governor._days._day is not None
    drawn = board.governor._days._day.drawn
    assert drawn.joules == pytest.approx(5 * 1.2 + 5 * 2.5)
    assert drawn.idle_joules == pytest.approx(5 * 1.2)


def test_a_status_without_another_body_measures_nothing(tmp_path: Path) -> None:
    """The status of a worker changes with each progress of its body."""
    board = Board(tmp_path)
    board.runs("a", draws=2.5)
    board.runs("a", draws=9.0)
    assert board.watts == pytest.approx(2.5)


def test_bodies_that_follow_each_other_quickly_are_looked_at_once_a_second(tmp_path: Path) -> None:
    board = Board(tmp_path)
    board.runs("a", draws=2.5)
    board.runs("b", draws=3.0, later_s=0.3)
    assert board.watts == pytest.approx(2.5)
    wait_s = board.governor.wait_s(board.now)
    assert wait_s == pytest.approx(0.7)
    board.governor.turn(board.now + 0.7)
    assert board.watts == pytest.approx(3.0)
    assert (board.governor.wait_s(board.now + 0.7) or 0) > 1


def test_bodies_do_not_put_off_the_sample_of_all_sources(tmp_path: Path) -> None:
    board = Board(tmp_path)
    due = board.now + (board.governor.wait_s(board.now) or 0.0)
    for number in range(4):
        board.runs(f"{number}", draws=2.5, later_s=2.0)
    assert board.now + (board.governor.wait_s(board.now) or 0.0) <= due


def test_a_sag_of_the_volts_at_the_begin_of_a_body_decides_nothing(tmp_path: Path) -> None:
    """The policy counts samples. Many short bodies must not make its samples come faster."""
    board = Board(tmp_path)
    before, lines = board.governor._state, board.layout.history.read_bytes()
    for number in range(4):
        board.runs(f"{number}", draws=2.5)
    assert board.governor._state is before
    assert board.layout.history.read_bytes() == lines


def test_without_a_shunt_nothing_is_read(tmp_path: Path) -> None:
    board = Board(tmp_path, shunt=False)
    assert not board.governor.measures_draw
    before = board.layout.power.stat().st_ino
    board.runs("a", draws=2.5)
    assert board.layout.power.stat().st_ino == before
    assert board.governor.wait_s(board.now) in {None, math.inf} or (board.governor.wait_s(board.now) or 0) > 1


def test_a_running_governor_measures_a_body_of_which_a_worker_tells(tmp_path: Path) -> None:
    """The whole way: status file of a worker, governor, report, receipt."""
    path = chip(tmp_path)
    power = {
        "sources": [
            {"kind": "plain"},
            {"kind": "shunt", "root": str(path.parent), "measures": "board", "frozen_after_s": 0},
        ],
        "critical": {"action": "none"},
        "sampling": {"sample_s": 300, "fast_s": 300, "slow_s": 300},  # no other sample falls into the test
    }
    with governor(tmp_path, power) as running:
        running.until("surplus")
        layout = running.layout
        layout.running.mkdir(parents=True, exist_ok=True)
        draw(path, 2.5)
        meter = Meter(1.0, status.read(layout.power))
        mark(layout, "a")
        worker = WorkerStatus("main", os.getpid(), boot_id(), WorkerState.RUNNING)
        durable.replace_volatile(layout.worker("main"), msgspec.json.encode(worker))

        def measured() -> Energy | None:
            meter.note(status.read(layout.power))
            found = meter.end(seconds=8.0, cpu_seconds=8.0, held_s=0.0)
            return found if found.metering is Metering.MEASURED else None

        assert until(measured, lambda: "a reading").joules == pytest.approx(20.0)
