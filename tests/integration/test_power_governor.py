"""The governor as a real process: its status, its speed, its wake-ups, and its end."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from gpiozero import Device
from gpiozero.pins.mock import MockFactory

from edge.access.pairing import held_at
from edge.config.power import ButtonConfig, CriticalConfig, LedConfig, PowerConfig, SamplingConfig
from edge.core.layout import Layout
from edge.core.wakeup import Wakeup
from edge.core.watch import Watch
from edge.model import PowerState
from edge.power import status
from edge.power.governor import history, main, pause
from edge.power.governor.governor import Governor
from edge.power.simulate import simulate
from edge.power.sources.pin import PinConfig
from tests.running_governor import PATIENCE_S, RunningGovernor, governor, until

SIMULATED: dict[str, Any] = {"sources": [{"kind": "simulated"}]}
FAST: dict[str, Any] = {"sample_s": 0.2, "fast_s": 0.1, "slow_s": 0.2}


def battery(folder: Path, percent: float) -> dict[str, Any]:
    """Make a kernel battery at `percent` as a tree of files; return the source that reads it."""
    node = folder / "supplies" / "battery"
    node.mkdir(parents=True, exist_ok=True)
    (node / "type").write_text("Battery\n")
    (node / "capacity").write_text(f"{percent:.0f}\n")
    (node / "voltage_now").write_text(f"{3_300_000 + percent * 9000:.0f}\n")
    return {"kind": "power_supply", "name": "battery", "root": str(folder / "supplies")}


def play(running: RunningGovernor, state: str) -> None:
    from edge.config import load

    config = load(running.config, env={}).config
    simulate(config.power, config.layout, state)


class TestPlainSupply:
    def test_is_always_good_and_unknown_once_stopped(self, tmp_path: Path) -> None:
        """Without sources power is surplus at once; after SIGTERM it is unknown, so that workers pause; exit code 0."""
        with governor(tmp_path) as running:
            assert running.until(PowerState.SURPLUS).reason == "plain supply configured: always good"
            assert running.stop() == 0
            assert (running.status().state, running.status().code) == (PowerState.UNKNOWN, "governor-stopped")

    def test_works_in_a_folder_it_may_write(self, tmp_path: Path) -> None:
        """The governor changes to a writable folder: lgpio makes a pipe there, and a unit starts in a read-only one."""
        with governor(tmp_path) as running:
            running.until(PowerState.SURPLUS)
            assert Path(f"/proc/{running.process.pid}/cwd").resolve() == running.layout.history.parent.resolve()

    def test_lives_through_a_pause_of_months(self, tmp_path: Path) -> None:
        """The longest pause that page and `edge pause` allow works, although epoll allows only 24 days."""
        with governor(tmp_path) as running:
            running.until(PowerState.SURPLUS)
            pause.set_pause(running.layout.pause, for_s=366 * 86_400.0)
            running.until(PowerState.PAUSED)
            pause.clear(running.layout.pause)
            running.until(PowerState.SURPLUS)
            assert running.stop() == 0

    def test_sleeps_without_any_wake_up(self, tmp_path: Path) -> None:
        """With a plain supply there is no context switch in seconds."""
        with governor(tmp_path) as running:
            running.until(PowerState.SURPLUS)
            time.sleep(0.5)
            before = running.switches()
            time.sleep(3.0)
            assert running.switches() == before

    def test_a_killed_governor_is_unknown(self, tmp_path: Path) -> None:
        """After a SIGKILL the status counts as unknown, although the last report was surplus."""
        with governor(tmp_path) as running:
            running.until(PowerState.SURPLUS)
            running.process.send_signal(signal.SIGKILL)
            running.process.wait()
            assert running.status().code == "governor-died"

    def test_a_second_governor_is_refused_in_one_line(self, tmp_path: Path) -> None:
        """A second governor is refused in one line, because power.json has one writer."""
        with governor(tmp_path) as running:
            running.until(PowerState.SURPLUS)
            second = subprocess.run(
                [sys.executable, "-m", "edge.power", str(running.config)], capture_output=True, text=True, check=False
            )
            assert second.returncode == 3
            assert second.stderr == f"edge power: a governor runs already on {running.layout.run}\n"

    def test_a_bad_source_is_refused_in_one_line(self, tmp_path: Path) -> None:
        """A bad source is refused with key, value and what is allowed, and exit code 2."""
        with governor(tmp_path, {"sources": [{"kind": "pin", "pin": 6, "active": "up"}]}) as running:
            assert running.process.wait(PATIENCE_S) == 2
            (line,) = running.log.read_text().splitlines()
            assert "power.sources[0].active = 'up'" in line
            assert "high" in line


class TestSimulated:
    def test_a_simulated_state_is_reported_within_milliseconds(self, tmp_path: Path) -> None:
        """`edge power simulate` takes effect by inotify, not at the next sample."""
        with governor(tmp_path, SIMULATED) as running:
            running.until(PowerState.SURPLUS)
            taken = []
            for state, wanted in [("low", PowerState.LOW), ("normal", PowerState.NORMAL)] * 3:
                began = time.monotonic()
                play(running, state)
                running.until(wanted)
                taken.append(time.monotonic() - began)
            assert sorted(taken)[len(taken) // 2] < 0.25, taken


class TestPause:
    def test_a_pause_starts_at_once_ends_by_itself_and_leaves_no_file(self, tmp_path: Path) -> None:
        """A pause of two seconds starts at once and ends by itself, although the governor has no other timer."""
        with governor(tmp_path) as running:
            running.until(PowerState.SURPLUS)
            pause.set_pause(running.layout.pause, for_s=2.0)
            reported = running.until(PowerState.PAUSED)
            assert (reported.code, reported.reason) == ("paused-by-hand", "paused by hand")
            assert reported.resumes_at == pytest.approx(reported.at + 2.0, abs=1.0)
            running.until(PowerState.SURPLUS)
            assert not running.layout.pause.exists()

    def test_a_pause_is_kept_over_a_restart_until_resumed(self, tmp_path: Path) -> None:
        """A new governor continues the pause of the old one until it is resumed."""
        with governor(tmp_path) as running:
            running.until(PowerState.SURPLUS)
            pause.set_pause(running.layout.pause)
            running.until(PowerState.PAUSED)
            running.process.send_signal(signal.SIGKILL)
            running.process.wait()
        with governor(tmp_path) as running:
            running.until(PowerState.PAUSED)
            pause.clear(running.layout.pause)
            running.until(PowerState.SURPLUS)


class TestBattery:
    def test_falls_and_resumes_with_the_battery_and_replays_the_same(self, tmp_path: Path) -> None:
        """Power follows the battery down and, after the dwell, up again; a replay of the history gives the same."""
        power: dict[str, Any] = {"sources": [battery(tmp_path, 60)], "sampling": FAST, "policy": {"resume_after_s": 1}}
        with governor(tmp_path, power) as running:
            running.until(PowerState.NORMAL)
            battery(tmp_path, 50)
            battery(tmp_path, 40)
            battery(tmp_path, 29)
            assert "charge 29 %, pause is at 30 %" in running.until("charge-low").reason
            battery(tmp_path, 44)
            until(
                lambda: any(r.value == 44.0 for s in history.read(running.layout.history) for r in s.readings) or None,
                lambda: "44 % in the history",
            )
            assert running.status().state is PowerState.LOW
            battery(tmp_path, 46)
            running.until("charge-settling")
            reported = running.until(PowerState.NORMAL)
            assert [(r.source, r.what, r.value) for r in reported.readings if r.what == "charge"] == [
                ("battery", "charge", 46.0)
            ]
            running.stop()
            states = [sample.state for sample in history.read(running.layout.history)]
            assert list(dict.fromkeys(states)) == [PowerState.UNKNOWN, PowerState.NORMAL, PowerState.LOW]
            assert len(list(running.layout.days.iterdir())) == 1

    def test_a_battery_that_vanishes_is_low_and_good_again_when_it_is_back(self, tmp_path: Path) -> None:
        """An unplugged HAT is unknown, which counts as low; when it is plugged in again, power resumes."""
        power: dict[str, Any] = {"sources": [battery(tmp_path, 60)], "sampling": FAST, "policy": {"resume_after_s": 0}}
        with governor(tmp_path, power) as running:
            running.until(PowerState.NORMAL)
            (tmp_path / "supplies" / "battery" / "type").rename(tmp_path / "away")
            assert "no battery" in running.until("charge-unknown").reason or "unplugged" in running.status().reason
            (tmp_path / "away").rename(tmp_path / "supplies" / "battery" / "type")
            running.until(PowerState.NORMAL)

    def test_a_restart_is_no_way_round_the_dwell(self, tmp_path: Path) -> None:
        """A new governor of the same boot continues the dwell of the old one, in whatever way that ended."""
        power: dict[str, Any] = {"sources": [battery(tmp_path, 60)], "sampling": FAST}
        with governor(tmp_path, power) as running:
            running.until(PowerState.NORMAL)
            battery(tmp_path, 45)
            battery(tmp_path, 29)
            running.until("charge-low")
            running.process.send_signal(signal.SIGKILL)
            running.process.wait()
        battery(tmp_path, 46)
        with governor(tmp_path, power) as running:
            assert running.until("charge-settling").state is PowerState.LOW

    def test_rarely_wakes_at_the_usual_pace(self, tmp_path: Path) -> None:
        """With battery, temperature, disk and clock there are at most three wake-ups a sample, under 1/s at 10 s."""
        (tmp_path / "temp").write_text("48000\n")
        sources = [battery(tmp_path, 60), {"kind": "temperature", "path": str(tmp_path / "temp")}]
        sources += [{"kind": "disk"}, {"kind": "clock"}]
        sampling = {"sample_s": 1.0, "fast_s": 0.1, "slow_s": 1.0}
        with governor(tmp_path, {"sources": sources, "sampling": sampling}) as running:
            running.until(PowerState.NORMAL)
            time.sleep(1.0)
            before = running.switches()
            time.sleep(5.0)
            assert running.switches() - before <= 15


class TestGoingDown:
    def test_critical_stops_units_sets_the_alarm_and_powers_off(self, tmp_path: Path) -> None:
        """Critical stops the units in the configured order, sets the alarm and powers off, by a fake systemctl."""
        systemctl = tmp_path / "systemctl"
        systemctl.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/calls\n')
        systemctl.chmod(0o755)
        (tmp_path / "wakealarm").touch()
        power: dict[str, Any] = {
            "sources": [battery(tmp_path, 9)],
            "sampling": FAST,
            "critical": {
                "systemctl": str(systemctl),
                "wakealarm": str(tmp_path / "wakealarm"),
                "stop_units": ["edge-worker.service", "rabbitmq-server.service"],
            },
        }
        with governor(tmp_path, power) as running:
            assert running.until(PowerState.CRITICAL).reason == "charge 9 %, critical is 10 %"
            calls = tmp_path / "calls"
            until(lambda: (calls.exists() and "poweroff" in calls.read_text()) or None, lambda: "poweroff")
            assert calls.read_text() == "stop edge-worker.service\nstop rabbitmq-server.service\npoweroff\n"
            assert (tmp_path / "wakealarm").read_text() == "+3600"
            assert running.status().state is PowerState.CRITICAL
            assert running.stop() == 0


class TestPins:
    """Tests in this process, because gpiozero's mock pins cannot be driven from outside; the loop is the real one."""

    @pytest.fixture
    def factory(self) -> Any:
        factory = Device.pin_factory = MockFactory()
        yield factory
        factory.reset()
        Device.pin_factory = None

    def run(self, tmp_path: Path, config: PowerConfig) -> tuple[Layout, Any]:
        layout = Layout(tmp_path, tmp_path / "run")
        for folder in (layout.policy.parent, layout.simulated.parent, layout.pause.parent):
            folder.mkdir(parents=True)
        wakeup = Wakeup()
        watch = Watch(layout.pause.parent, layout.simulated.parent)
        governed = Governor(config, layout, wake=wakeup.wake)
        thread = threading.Thread(target=main._loop, args=(governed, None, watch, wakeup, layout))
        thread.start()

        def stop() -> None:
            os.write(wakeup._in, bytes([signal.SIGTERM]))  # as the interpreter does at a signal
            thread.join(PATIENCE_S)
            governed.close()
            watch.close()
            wakeup.close()

        return layout, stop

    def state(self, layout: Layout, wanted: PowerState) -> bool:
        return bool(
            until(
                lambda: status.read(layout.power).state is wanted or None,
                lambda: f"{wanted}: {status.read(layout.power)}",
            )
        )

    def test_an_edge_is_reported_within_milliseconds(self, tmp_path: Path, factory: MockFactory) -> None:
        """A lost supply is low without waiting for a sample; the median is under 50 ms on a busy machine."""
        taken = []
        sampling = SamplingConfig(fast_s=0.1, sample_s=60.0, slow_s=60.0)
        config = PowerConfig(sources=(PinConfig(pin=6, name="mains", bounce_s=0.0),), sampling=sampling)
        for attempt in range(5):
            pin = factory.pin(6)
            pin.drive_high()
            layout, stop = self.run(tmp_path / str(attempt), config)
            assert self.state(layout, PowerState.NORMAL)
            began = time.monotonic()
            pin.drive_low()
            assert self.state(layout, PowerState.LOW)
            taken.append(time.monotonic() - began)
            stop()
        assert sorted(taken)[2] < 0.05, taken

    def test_pins_that_cannot_be_had_cost_themselves_only(self, tmp_path: Path, factory: MockFactory) -> None:
        """An LED and a button on missing pins are logged once, and the governor works."""
        config = PowerConfig(button=ButtonConfig(pin="GPIO99"), led=LedConfig(pin="GPIO98"))
        layout, stop = self.run(tmp_path, config)
        assert self.state(layout, PowerState.SURPLUS)
        stop()

    def test_the_button_pauses_and_resumes_and_held_shuts_down(self, tmp_path: Path, factory: MockFactory) -> None:
        """A short press pauses durably, the next resumes; a held button means critical, and shuts down (dry run)."""
        button = ButtonConfig(pin=17, bounce_s=0.0, hold_s=0.3)
        dry = CriticalConfig(dry_run=True)
        layout, stop = self.run(tmp_path, PowerConfig(button=button, led=LedConfig(pin=27), critical=dry))
        assert self.state(layout, PowerState.SURPLUS)
        assert factory.pin(27).state
        pin = factory.pin(17)
        pin.drive_low()
        pin.drive_high()
        assert self.state(layout, PowerState.PAUSED)
        assert layout.pause.exists()
        pin.drive_low()
        pin.drive_high()
        assert self.state(layout, PowerState.SURPLUS)
        pin.drive_low()
        assert self.state(layout, PowerState.CRITICAL)
        assert status.read(layout.power).code == "shutdown"
        pin.drive_high()
        stop()

    def test_a_button_for_pairing_held_shuts_nothing_down(self, tmp_path: Path, factory: MockFactory) -> None:
        """A held button for pairing informs the gateway and does not change power; a short press still pauses."""
        button = ButtonConfig(pin=17, bounce_s=0.0, hold_s=0.3, long_press="pair")
        layout, stop = self.run(tmp_path, PowerConfig(button=button, critical=CriticalConfig(dry_run=True)))
        assert self.state(layout, PowerState.SURPLUS)
        pin, before = factory.pin(17), time.monotonic()
        pin.drive_low()
        until = before + PATIENCE_S
        while (at := held_at(layout.button_held)) is None:
            assert time.monotonic() < until
            time.sleep(0.01)
        assert before < at < time.monotonic()
        pin.drive_high()
        assert status.read(layout.power).state is PowerState.SURPLUS
        pin.drive_low()
        pin.drive_high()
        assert self.state(layout, PowerState.PAUSED)
        stop()


def test_systemd_is_notified(tmp_path: Path) -> None:
    """systemd gets READY after the first status, WATCHDOG while the governor runs, and STOPPING at the end."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as link:
        link.bind(str(tmp_path / "notify"))
        link.settimeout(PATIENCE_S)
        env = {**os.environ, "NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "400000"}
        (tmp_path / "edge.yaml").write_text(f"root: {tmp_path}/state\nrun: {tmp_path}/run\n")
        process = subprocess.Popen([sys.executable, "-m", "edge.power", str(tmp_path / "edge.yaml")], env=env)
        try:
            assert link.recv(100) == b"READY=1"
            assert status.read(tmp_path / "run" / "power.json").state is PowerState.SURPLUS
            assert [link.recv(100) for _ in range(3)] == [b"WATCHDOG=1"] * 3
        finally:
            process.terminate()
            process.wait(PATIENCE_S)
        link.setblocking(False)
        last = b""
        while last != b"STOPPING=1":
            last = link.recv(100)
