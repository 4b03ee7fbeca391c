"""Calibration of a simulated board whose true watts are known, and the accuracy of estimates after it."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from edge.config.power import PowerConfig
from edge.core.errors import StackError
from edge.core.layout import Layout
from edge.model import PowerState, PowerStatus
from edge.power.energy.calibrate import BoardMeter, fitted, measured
from edge.power.energy.load import Load
from edge.power.sources.shunt import ShuntConfig
from edge.worker.power.meter import Meter


class SyntheticBoard:
    """Simulates a board with four cores and noise.

    Each further core draws a little less than the one before, as regulators and clocks cause it on real boards.
    """

    cores = 4

    def __init__(self, *, idle_w: float, core_w: float, seed: int) -> None:
        self.idle_w, self.core_w, self.random, self.busy = idle_w, core_w, random.Random(seed), 0.0

    def set_to(self, count: int) -> None:
        self.busy = count

    def watts(self, busy: float) -> float:
        return self.idle_w + self.core_w * busy * (1.04 - 0.02 * busy)

    def read(self) -> float:
        return self.watts(self.busy) * self.random.gauss(1.0, 0.04)


#: (watts at rest, watts of a busy core) of a Zero 2 W, a Pi 4 and a Pi 5.
BOARDS = [(0.6, 0.5), (2.7, 1.0), (3.0, 1.5)]


@pytest.mark.parametrize(("idle_w", "core_w"), BOARDS)
def test_it_learns_the_true_watts(idle_w: float, core_w: float) -> None:
    """A calibration finds the watts at rest within 5 % and the watts of a core within 8 %."""
    board = SyntheticBoard(idle_w=idle_w, core_w=core_w, seed=1)
    steps = list(measured(board, board.read, total_s=180, sleep=lambda _: None))
    assert [step.busy for step in steps] == [0, 1, 2, 3, 4]
    assert min(step.samples for step in steps) >= 20
    found = fitted({step.busy: step.watts for step in steps})
    assert found.idle_watts == pytest.approx(idle_w, rel=0.05)
    assert found.cpu_watts == pytest.approx(core_w, rel=0.08)
    assert found.error_percent < 5


@pytest.mark.parametrize(("idle_w", "core_w"), BOARDS)
def test_estimates_are_within_a_tenth_of_a_meter(idle_w: float, core_w: float) -> None:
    """The estimated receipts of 200 jobs that keep 0 to 1 core busy are close to the true energy."""
    board = SyntheticBoard(idle_w=idle_w, core_w=core_w, seed=2)
    found = fitted({step.busy: step.watts for step in measured(board, board.read, total_s=180, sleep=lambda _: None)})
    report = PowerStatus(PowerState.NORMAL, "normal", "")
    off, estimated_j, metered_j = list[float](), 0.0, 0.0
    for _ in range(200):
        seconds = board.random.uniform(5, 600)
        share = [board.random.uniform(0, 1) for _ in range(round(seconds))]
        trace_j = sum(board.watts(busy) for busy in share) * seconds / len(share)
        meter = Meter(found.cpu_watts, report, idle_watts=found.idle_watts)
        cpu_s = sum(share) * seconds / len(share)
        receipt = meter.end(seconds=seconds, cpu_seconds=cpu_s, held_s=0.0)
        off.append(abs(receipt.joules - trace_j) / trace_j)
        estimated_j, metered_j = estimated_j + receipt.joules, metered_j + trace_j
    assert max(off) < 0.1
    assert estimated_j == pytest.approx(metered_j, rel=0.05)


def test_without_a_shunt_the_error_names_the_need() -> None:
    board = SyntheticBoard(idle_w=1.0, core_w=1.0, seed=3)
    with pytest.raises(StackError, match=r"only 0 values .* the board needs a shunt"):
        list(measured(board, lambda: None, total_s=180, sleep=lambda _: None))


def test_a_job_that_runs_ends_it() -> None:
    board = SyntheticBoard(idle_w=1.0, core_w=1.0, seed=4)
    with pytest.raises(StackError, match="worker main runs a job: `edge pause`"):
        list(measured(board, board.read, total_s=60, disturbed=lambda: "worker main runs a job", sleep=lambda _: None))


def test_watts_that_fall_with_load_are_not_believed() -> None:
    with pytest.raises(StackError, match="does not measure this board"):
        fitted({0: 3.0, 1: 2.5, 2: 2.0})
    with pytest.raises(StackError, match="one number of busy cores"):
        fitted({0: 3.0})


def test_shunts_are_read_themselves(tmp_path: Path) -> None:
    """Calibration reads the shunts directly, because the governor reads them only every ten seconds."""
    chip = tmp_path / "hwmon" / "hwmon0"
    chip.mkdir(parents=True)
    for name, text in (("name", "ina219"), ("in1_input", "5000"), ("shunt_resistor", "10000"), ("curr1_input", "400")):
        (chip / name).write_text(text)
    config = PowerConfig(sources=(ShuntConfig(root=chip.parent, measures="board"),))
    assert BoardMeter(config, Layout(tmp_path, tmp_path)).read() == pytest.approx(2.0)
    assert BoardMeter(PowerConfig(), Layout(tmp_path, tmp_path)).read() is None


def test_a_load_keeps_a_core_busy_and_ends() -> None:
    load = Load()
    try:
        load.set_to(1)
        (process,) = load._busy
        deadline = time.monotonic() + 30
        stat = Path(f"/proc/{process.pid}/stat")
        while sum(map(int, stat.read_text().split()[13:15])) < 20:  # a fifth of a second of CPU
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        load.close()
    assert load._busy == []
