"""Tests of the shutdown for a sleep: it has the steps of a critical shutdown, but it can still be cancelled."""

from __future__ import annotations

import os
import time
from pathlib import Path

import msgspec
import pytest

from edge.config.power import CriticalConfig
from edge.core.host import boot_id
from edge.core.layout import Layout
from edge.model import WorkerState, WorkerStatus
from edge.power.governor.shutdown import ShutdownSequence
from edge.power.sleep.order import SleepOrder


class Going:
    """A shutdown on a folder of files, with a systemctl that records its arguments."""

    def __init__(self, folder: Path, order: SleepOrder, **fields: object) -> None:
        self.calls, self.alarm, self.logged = folder / "calls", folder / "wakealarm", list[str]()
        systemctl = folder / "systemctl"
        lines = ("#!/bin/sh", f'echo "$@" >> {self.calls}', f"cat {self.alarm} >> {self.calls} 2>/dev/null", "exit 0")
        systemctl.write_text("\n".join(lines) + "\n")
        systemctl.chmod(0o755)
        config = CriticalConfig(
            systemctl=str(systemctl), wakealarm=self.alarm, grace_s=15.0, stop_units=("edge.target",), wake_after_s=60.0
        )
        (folder / "run").mkdir()
        self.layout = Layout(folder, folder / "run")
        config = msgspec.structs.replace(config, **fields)
        self.sequence = ShutdownSequence(config, self.layout, 1000.0, self.logged.append, reason="sleep", sleep=order)

    def arrive(self) -> None:
        deadline = time.monotonic() + 30
        while self.sequence.poll(1000.0) is not None:
            assert time.monotonic() < deadline

    def holds(self, *, job: bool) -> None:
        state = WorkerState.HELD if job else WorkerState.PAUSED
        self.layout.worker("main").write_bytes(msgspec.json.encode(WorkerStatus("main", os.getpid(), boot_id(), state)))


def test_the_alarm_is_set_before_the_first_unit_stops(tmp_path: Path) -> None:
    """The alarm has the time of the sleep, not that of critical power."""
    (tmp_path / "wakealarm").touch()
    going = Going(tmp_path, SleepOrder("sleep", 3600.0, None))
    going.arrive()
    assert going.calls.read_text() == "stop edge.target\n+3600poweroff\n+3600"
    assert not going.sequence.given_up


@pytest.mark.parametrize("alarm", ["missing", "full"])
def test_without_an_alarm_nothing_is_stopped(tmp_path: Path, alarm: str) -> None:
    if alarm == "full":
        (tmp_path / "wakealarm").symlink_to("/dev/full")
    going = Going(tmp_path, SleepOrder("sleep", 3600.0, None))
    going.arrive()
    assert going.sequence.given_up
    assert not going.calls.exists()
    assert going.logged[0].startswith("does not sleep: no wake alarm")


def test_an_objection_counts_until_the_first_unit_stops(tmp_path: Path) -> None:
    """A job that can run may come while a worker still saves the state of its own job."""
    (tmp_path / "wakealarm").touch()
    objections = [""]
    going = Going(tmp_path, SleepOrder("sleep", 3600.0, None, objection=lambda: objections[-1]))
    going.holds(job=True)
    assert going.sequence.poll(1001.0) == 0.5
    objections.append("a job came that may run")
    going.holds(job=False)
    going.arrive()
    assert going.sequence.given_up
    assert not going.calls.exists()
    assert going.alarm.read_text() == ""


def test_a_ups_brings_it_back_without_an_alarm(tmp_path: Path) -> None:
    going = Going(tmp_path, SleepOrder("sleep", None, None))
    going.arrive()
    assert "poweroff" in going.calls.read_text()
    assert not going.sequence.given_up


def test_a_rehearsal_touches_nothing(tmp_path: Path) -> None:
    (tmp_path / "wakealarm").touch()
    going = Going(tmp_path, SleepOrder("sleep", 3600.0, None), dry_run=True)
    going.arrive()
    assert going.sequence.rehearsed
    assert not going.calls.exists()
    assert f"dry run: {going.alarm} +3600" in going.logged
