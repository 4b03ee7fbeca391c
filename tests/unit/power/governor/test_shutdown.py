"""Tests of the shutdown: workers, units, wake alarm, power off."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import ClassVar

import msgspec
import pytest

from edge.config.power import CriticalConfig
from edge.core.host import boot_id
from edge.core.layout import Layout
from edge.model import WorkerState, WorkerStatus
from edge.power.governor.shutdown import ShutdownSequence
from edge.power.sleep import means


class TestShutdownSequence:
    def going(self, layout: Layout, script: str, logged: list[str], **fields: object) -> ShutdownSequence:
        systemctl = layout.root / "systemctl"
        systemctl.write_text(f'#!/bin/sh\necho "$@" >> {layout.root}/calls\n{script}\n')
        systemctl.chmod(0o755)
        config = CriticalConfig(systemctl=str(systemctl), wakealarm=layout.root / "wakealarm", grace_s=15.0)
        return ShutdownSequence(
            msgspec.structs.replace(config, **fields), layout, 1000.0, logged.append, reason="charge 5 %"
        )

    def arrive(self, going: ShutdownSequence, now: float) -> float | None:
        """Poll until no program is waited for any more, and return the last answer of `poll`."""
        deadline = time.monotonic() + 30
        while (left_s := going.poll(now)) == 0.5:
            assert time.monotonic() < deadline
        return left_s

    def worker(self, layout: Layout, state: WorkerState) -> None:
        status = WorkerStatus("main", os.getpid(), boot_id(), state)
        layout.worker("main").write_bytes(msgspec.json.encode(status))

    def test_waits_for_workers_then_stops_units_then_powers_off(self, layout: Layout) -> None:
        """The steps have this order and begin after the worker has stopped. The wake alarm is set before power-off."""
        (layout.root / "wakealarm").touch()
        logged: list[str] = []
        going = self.going(layout, "", logged, stop_units=("a.service", "b.service"), wake_after_s=600.0)
        self.worker(layout, WorkerState.RUNNING)
        assert going.poll(1000.0) == 0.5
        assert not (layout.root / "calls").exists()
        self.worker(layout, WorkerState.STOPPED)
        assert self.arrive(going, 1000.5) is None
        assert (layout.root / "calls").read_text() == "stop a.service\nstop b.service\npoweroff\n"
        assert (layout.root / "wakealarm").read_text() == "+600"
        assert logged == []

    def test_the_card_is_synced_before_the_power_goes(self, layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
        """Data that the kernel has not written by then is lost."""
        program = layout.root / "sync"
        program.write_text(f"#!/bin/sh\necho sync >> {layout.root}/calls\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{layout.root}:{os.environ['PATH']}")
        going = self.going(layout, "", [], stop_units=("a.service",), wake_after_s=None)
        assert self.arrive(going, 1000.0) is None
        assert (layout.root / "calls").read_text() == "stop a.service\nsync\npoweroff\n"

    def test_an_alarm_that_is_set_already_is_cleared_first(
        self, layout: Layout, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A real RTC refuses an alarm while another one is set. An earlier shutdown may have left one."""

        class Rtc:
            alarm = "+999"
            writes: ClassVar[list[str]] = []

            def write(self, path: Path, text: str) -> None:
                assert path == layout.root / "wakealarm"
                self.writes.append(text)
                if text != "0" and self.alarm != "0":
                    raise OSError(16, "Device or resource busy", str(path))
                self.alarm = text

        rtc, logged = Rtc(), list[str]()
        monkeypatch.setattr(means, "_write", rtc.write)
        assert self.arrive(self.going(layout, "", logged, wake_after_s=600.0), 1000.0) is None
        assert (rtc.alarm, rtc.writes, logged) == ("+600", ["0", "+600"], [])

    def test_the_grace_is_the_longest_wait(self, layout: Layout) -> None:
        """A worker that does not stop its job cannot keep the power on."""
        logged: list[str] = []
        going = self.going(layout, "", logged, wake_after_s=None)
        self.worker(layout, WorkerState.RUNNING)
        assert going.poll(1014.9) == pytest.approx(0.1)
        assert self.arrive(going, 1015.0) is None
        assert logged == ["jobs still run after 15 s: worker main"]

    def test_a_failing_unit_and_no_alarm_are_logged_and_do_not_stop_it(self, layout: Layout) -> None:
        """Each failure is logged once. The shutdown goes on to poweroff, which is tried again if it fails."""
        logged: list[str] = []
        going = self.going(layout, "echo no such unit >&2; exit 5", logged, stop_units=("x.service",))
        assert self.arrive(going, 1000.0) == 60.0
        unit, alarm, poweroff = logged
        assert unit.endswith("systemctl stop x.service: no such unit")
        assert alarm.startswith("no wake alarm")
        assert poweroff.endswith("systemctl poweroff: no such unit")
        assert (layout.root / "calls").read_text().splitlines()[-1] == "poweroff"

    def test_a_unit_that_does_not_stop_holds_up_neither_the_loop_nor_the_power(self, layout: Layout) -> None:
        """The loop must feed its watchdog meanwhile. After 90 s the shutdown goes on without waiting for the unit."""
        logged: list[str] = []
        script = '[ "$1" = poweroff ] || exec sleep 600'
        going = self.going(layout, script, logged, stop_units=("x",), wake_after_s=None)
        began = time.monotonic()
        assert going.poll(1000.0) == 0.5
        assert time.monotonic() - began < 10
        assert going.poll(1089.9) == 0.5
        assert self.arrive(going, 1090.1) is None
        (line,) = logged
        assert line.endswith("systemctl stop x: no answer for 90 s")
        assert (layout.root / "calls").read_text() == "stop x\npoweroff\n"

    def test_output_without_end_is_cut(self, layout: Layout) -> None:
        """Such output once filled the memory until the timeout."""
        logged: list[str] = []
        script = '[ "$1" = poweroff ] || exec yes'
        going = self.going(layout, script, logged, stop_units=("x",), wake_after_s=None)
        assert self.arrive(going, 1000.0) is None
        (line,) = logged
        assert line.endswith("systemctl stop x: wrote more than 64 KiB")

    def test_a_dry_run_does_nothing(self, layout: Layout) -> None:
        """A dry run logs each step and carries out none."""
        logged: list[str] = []
        going = self.going(layout, "", logged, dry_run=True)
        assert going.poll(1000.0) is None
        assert not (layout.root / "calls").exists()
        assert logged[-1].endswith("systemctl poweroff")
        assert len(logged) == 5
