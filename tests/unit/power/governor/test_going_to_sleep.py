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
from edge.power.sleep import means
from edge.power.sleep.order import SleepOrder


class Going:
    """A shutdown on a folder of files, with a systemctl that records its arguments."""

    def __init__(self, folder: Path, order: SleepOrder, **fields: object) -> None:
        self.calls, self.alarm, self.logged = folder / "calls", folder / "wakealarm", list[str]()
        systemctl = folder / "systemctl"
        self.slow = folder / "slow"  # while this file exists, no unit stops
        wait = f"while [ -e {self.slow} ]; do sleep 0.02; done"
        lines = (
            "#!/bin/sh",
            wait,
            f'echo "$@" >> {self.calls}',
            f"cat {self.alarm} >> {self.calls} 2>/dev/null",
            "exit 0",
        )
        systemctl.write_text("\n".join(lines) + "\n")
        systemctl.chmod(0o755)
        config = CriticalConfig(
            systemctl=str(systemctl), wakealarm=self.alarm, grace_s=15.0, stop_units=("edge.target",), wake_after_s=60.0
        )
        (folder / "run").mkdir()
        self.layout = Layout(folder, folder / "run")
        config = msgspec.structs.replace(config, **fields)
        self.sequence = ShutdownSequence(config, self.layout, 1000.0, self.logged.append, reason="sleep", sleep=order)

    def arrive(self, now: float = 1000.0) -> None:
        deadline = time.monotonic() + 30
        while self.sequence.poll(now) is not None:
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


class Clock:
    """A clock with an alarm like that of the kernel: it refuses a second one, and reads as a time of its own."""

    def __init__(self, alarm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.alarm, self.now_s, self.writes, self.broken = alarm, 1_795_880_000, list[str](), False
        alarm.write_text("")
        self.tick(0)
        monkeypatch.setattr(means, "_write", self.write)

    def tick(self, seconds: int) -> None:
        self.now_s += seconds
        self.alarm.with_name("since_epoch").write_text(f"{self.now_s}\n")

    def write(self, path: Path, text: str) -> None:
        assert path == self.alarm
        self.writes.append(text)
        if self.broken:
            raise OSError(5, "Input/output error", str(path))
        self.alarm.write_text("" if text == "0" else f"{self.now_s + int(text)}\n")

    @property
    def left_s(self) -> int:
        return int(self.alarm.read_text()) - self.now_s


def _stopping(going: Going, clock: Clock, seconds: int) -> float:
    """Poll until the first unit is being stopped, let `seconds` pass meanwhile, and return the new time."""
    going.slow.touch()
    assert going.sequence.poll(1000.0) == 0.5
    clock.tick(seconds)
    going.slow.unlink()
    return 1000.0 + seconds


def test_an_alarm_that_is_set_stays_while_the_units_stop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was set again for the whole sleep after the last unit, so the board woke later than announced."""
    clock = Clock(tmp_path / "wakealarm", monkeypatch)
    going = Going(tmp_path, SleepOrder("sleep", 3600.0, None))
    going.arrive(_stopping(going, clock, 80))
    assert clock.writes == ["0", "+3600"]
    assert clock.left_s == 3520
    assert not going.sequence.given_up


def test_the_wait_for_a_worker_is_part_of_the_sleep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(tmp_path / "wakealarm", monkeypatch)
    going = Going(tmp_path, SleepOrder("sleep", 3600.0, None))
    going.holds(job=True)
    assert going.sequence.poll(1000.0) == 0.5
    going.holds(job=False)
    going.arrive(1012.0)
    assert clock.left_s == 3588


def test_an_alarm_that_is_lost_while_the_units_stop_is_set_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(tmp_path / "wakealarm", monkeypatch)
    going = Going(tmp_path, SleepOrder("sleep", 3600.0, None))
    now = _stopping(going, clock, 40)
    clock.alarm.write_text("")
    going.arrive(now)
    assert clock.left_s == 3560
    assert "poweroff" in going.calls.read_text()


def test_without_a_sure_alarm_the_units_start_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The board would never wake. It powered off before."""
    clock = Clock(tmp_path / "wakealarm", monkeypatch)
    going = Going(tmp_path, SleepOrder("sleep", 3600.0, None), stop_units=("a.service", "b.service"))
    now = _stopping(going, clock, 40)
    clock.alarm.write_text("")
    clock.broken = True
    going.arrive(now)
    assert going.calls.read_text() == "stop a.service\nstop b.service\nstart b.service\nstart a.service\n"
    assert going.sequence.given_up
    assert going.logged == [f"does not sleep: no wake alarm ({clock.alarm}: Input/output error)"]


def test_an_alarm_that_would_go_off_before_the_power_is_off_is_set_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three units that each take 90 s to stop outlast the alarm of a short sleep. No clock wakes a board twice."""
    clock = Clock(tmp_path / "wakealarm", monkeypatch)
    going = Going(tmp_path, SleepOrder("sleep", 90.0, None))
    going.arrive(_stopping(going, clock, 85))
    assert clock.left_s == 60
    assert "poweroff" in going.calls.read_text()


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
