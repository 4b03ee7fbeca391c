"""The governor's parts, each by itself: pause, history, days, going down, probing, replaying, the last word."""

from __future__ import annotations

import os
import select
import time
from itertools import pairwise
from pathlib import Path
from typing import ClassVar

import msgspec
import pytest
import yaml

from edge.config import load
from edge.config.power import CriticalConfig, PolicyConfig, PowerConfig, SamplingConfig, WindowConfig
from edge.core.errors import UsageError
from edge.core.host import boot_id
from edge.core.layout import Layout
from edge.core.watch import Watch
from edge.model import PowerState, PowerStatus, Reading, Verdict, WorkerState, WorkerStatus
from edge.power import status
from edge.power.governor import history, pause, shutdown
from edge.power.governor.days import Day, Days
from edge.power.governor.history import ReadingHistory, Sample
from edge.power.governor.replay import replay
from edge.power.governor.shutdown import ShutdownSequence
from edge.power.policy import policy
from edge.power.policy import sampling as pace
from edge.power.policy import wording as words
from edge.power.policy.rules import Level, from_config
from edge.power.probe import as_yaml, probe
from edge.power.simulate import simulate
from edge.power.sources.simulated import Simulated, SimulatedConfig
from edge.power.sources.temperature import TemperatureConfig


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    (tmp_path / "run").mkdir()
    return Layout(tmp_path, tmp_path / "run")


def charge(percent: float) -> Reading:
    return Reading("battery", "charge", percent, "%", verdict=Verdict.OK)


class TestPause:
    def test_a_pause_ends_by_the_monotonic_clock_of_its_boot(self) -> None:
        """Within a boot a wall clock that jumps changes nothing."""
        asked = pause.Pause(3600.0, "hand", wall=1e9, monotonic=100.0, boot_id="a")
        for wall in (0.0, 1e9, 2e9):
            assert asked.left_s(wall=wall, monotonic=1100.0, boot="a") == 2600.0

    def test_a_pause_outlives_a_power_cut(self) -> None:
        """In a later boot the wall clock says what is left; one that was set back tells nothing, so all of it is."""
        asked = pause.Pause(3600.0, "hand", wall=1000.0, monotonic=100.0, boot_id="a")
        assert asked.left_s(wall=2000.0, monotonic=5.0, boot="b") == 2600.0
        assert asked.left_s(wall=9000.0, monotonic=5.0, boot="b") == -4400.0
        assert asked.left_s(wall=0.0, monotonic=5.0, boot="b") == 3595.0

    def test_set_read_and_clear(self, tmp_path: Path) -> None:
        """A pause is there from the call on, and gone after clear."""
        path = tmp_path / "power" / "pause.json"
        assert pause.current(path) is None
        pause.set_pause(path, for_s=100.0)
        found = pause.current(path)
        assert found is not None
        assert 99.0 < (found[1] or 0.0) <= 100.0
        assert pause.clear(path)
        assert not pause.clear(path)
        assert pause.current(path) is None

    def test_a_torn_file_pauses_without_end(self, tmp_path: Path) -> None:
        """Somebody wanted a pause; only for how long is lost."""
        (tmp_path / "pause.json").write_bytes(b'{"for_s": 3')
        found = pause.current(tmp_path / "pause.json")
        assert found is not None
        assert found[1] is None


class TestStatus:
    def status(self, **fields: object) -> PowerStatus:
        good = PowerStatus(
            PowerState.NORMAL, "normal", "fine", boot_id=boot_id(), pid=os.getpid(), monotonic=time.monotonic()
        )
        return msgspec.structs.replace(good, **fields)

    def read(self, tmp_path: Path, **fields: object) -> tuple[PowerState, str]:
        status.write(tmp_path / "power.json", self.status(**fields))
        said = status.read(tmp_path / "power.json")
        return said.state, said.code

    def test_a_living_governor_is_believed(self, tmp_path: Path) -> None:
        """Its word stands as it is."""
        assert self.read(tmp_path) == (PowerState.NORMAL, "normal")

    @pytest.mark.parametrize(
        ("fields", "code"),
        [({"boot_id": "other"}, "other-boot"), ({"pid": 2**22 + 1}, "governor-died"),
         ({"valid_s": 90.0, "monotonic": time.monotonic() - 91.0}, "governor-silent")],
    )  # fmt: skip
    def test_a_word_that_does_not_count_is_unknown(self, tmp_path: Path, fields: dict[str, object], code: str) -> None:
        """Of another boot, of a dead governor, or too old: unknown, and which of these."""
        assert self.read(tmp_path, **fields) == (PowerState.UNKNOWN, code)

    def test_a_wall_clock_that_jumps_makes_nothing_stale(self, tmp_path: Path) -> None:
        """Age is taken from the monotonic clock."""
        assert self.read(tmp_path, at=0.0, valid_s=90.0)[0] is PowerState.NORMAL

    @pytest.mark.parametrize("content", [None, b"", b"{", b'{"state": "splendid"}', b"\xff\xfe"])
    def test_no_file_or_garbage_is_unknown(self, tmp_path: Path, content: bytes | None) -> None:
        """Whatever lies there, reading it never raises and never allows work."""
        if content is not None:
            (tmp_path / "power.json").write_bytes(content)
        assert status.read(tmp_path / "power.json").state is PowerState.UNKNOWN


class TestHistory:
    def test_samples_come_back_as_written(self, tmp_path: Path) -> None:
        """Lines of JSON, oldest first; a torn last line is left out."""
        kept = ReadingHistory(tmp_path / "history.jsonl")
        samples = [Sample(float(n), (charge(50 + n),), at=1.7e9 + n, minute=3) for n in range(5)]
        for sample in samples:
            kept.append(sample)
        with (tmp_path / "history.jsonl").open("ab") as file:
            file.write(b'{"now": 7, "rea')
        assert list(history.read(tmp_path / "history.jsonl")) == samples

    def test_bytes_and_hours_are_bounded(self, tmp_path: Path) -> None:
        """Two files at most, together never above the limit by more than a line."""
        kept = ReadingHistory(tmp_path / "history.jsonl", hours=1.0, max_bytes=20_000)
        for n in range(2000):
            kept.append(Sample(n * 1.0, (charge(50),)))
        assert sum(file.stat().st_size for file in tmp_path.iterdir()) < 20_400
        assert {file.name for file in tmp_path.iterdir()} <= {"history.jsonl", "history.1.jsonl"}
        kept.append(Sample(1e6, (charge(50),)))
        kept.append(Sample(1e6 + 1, (charge(50),)))
        assert len(list(history.read(tmp_path / "history.jsonl"))) == 1

    def test_half_a_line_is_taken_back(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A tmpfs that is full in the middle of a line must not spoil the next one, and with it the replay."""
        kept, sample = ReadingHistory(tmp_path / "history.jsonl"), Sample(0.0, (charge(50),))
        write = os.write
        kept.append(sample)
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", lambda fd, data: write(fd, data[:10]))
            kept.append(sample)
        kept.append(sample)
        assert list(history.read(tmp_path / "history.jsonl")) == [sample, sample]

    def test_a_folder_that_cannot_be_written_stops_nothing(self, tmp_path: Path) -> None:
        """A full tmpfs costs the history, not the governor."""
        ReadingHistory(tmp_path / "missing" / "history.jsonl").append(Sample(0.0, (charge(50),)))

    def test_a_bad_line_is_named(self, tmp_path: Path) -> None:
        """The file, the line and what is wrong with it."""
        (tmp_path / "h").write_text('{"now": 1, "readings": []}\nnonsense\n')
        with pytest.raises(UsageError, match=r"h:2: not a sample"):
            list(history.read(tmp_path / "h"))


class TestDays:
    def test_a_day_is_summed_up_and_goes_on_after_a_restart(self, tmp_path: Path) -> None:
        """Seconds in each state, falls, ranges; a new governor adds to the same day."""
        noon = 1_800_000_000.0
        days = Days(tmp_path)
        for n, (state, percent) in enumerate([("normal", 50), ("normal", 40), ("low", 29), ("low", 30)]):
            days.add(n * 10.0, noon + n * 10.0, PowerState(state), (charge(percent),))
        days.flush()
        days = Days(tmp_path)
        days.add(100.0, noon + 100.0, PowerState.LOW, (charge(31),))
        days.flush()
        (file,) = tmp_path.iterdir()
        day = msgspec.json.decode(file.read_bytes(), type=Day)
        assert (day.seconds, day.falls) == ({"normal": 20.0, "low": 10.0}, 1)
        assert (day.ranges["battery/charge"].low, day.ranges["battery/charge"].high) == (29, 50)
        assert day.ranges["battery/charge"].count == 5

    def test_an_unset_clock_belongs_to_no_day(self, tmp_path: Path) -> None:
        """1970 gets no file."""
        days = Days(tmp_path)
        days.add(0.0, None, PowerState.NORMAL, (charge(50),))
        days.flush()
        assert list(tmp_path.iterdir()) == []

    def test_a_day_that_cannot_be_written_is_told_of_once(self, tmp_path: Path) -> None:
        """A read-only card at midnight costs that day, not every sample after it."""
        folder = tmp_path / "days"
        folder.write_text("in the way")
        days, noon = Days(folder), 1_800_000_000.0
        days.add(0.0, noon, PowerState.NORMAL, (charge(50),))
        with pytest.raises(OSError, match="days"):
            days.add(86_400.0, noon + 86_400.0, PowerState.NORMAL, (charge(50),))
        days.add(86_410.0, noon + 86_410.0, PowerState.NORMAL, (charge(50),))

    def test_old_days_go(self, tmp_path: Path) -> None:
        """Only as many days as configured stay."""
        days = Days(tmp_path, keep=2)
        for n in range(4):
            days.add(n * 86_400.0, 1_800_000_000.0 + n * 86_400.0, PowerState.NORMAL, (charge(50),))
        days.flush()
        assert len(list(tmp_path.iterdir())) == 2


class TestDescent:
    def going(self, layout: Layout, script: str, said: list[str], **fields: object) -> ShutdownSequence:
        systemctl = layout.root / "systemctl"
        systemctl.write_text(f'#!/bin/sh\necho "$@" >> {layout.root}/calls\n{script}\n')
        systemctl.chmod(0o755)
        config = CriticalConfig(systemctl=str(systemctl), wakealarm=layout.root / "wakealarm", grace_s=15.0)
        return ShutdownSequence(
            msgspec.structs.replace(config, **fields), layout, 1000.0, said.append, reason="charge 5 %"
        )

    def arrive(self, going: ShutdownSequence, now: float) -> float | None:
        """What `poll` says once no program is waited for any more."""
        deadline = time.monotonic() + 30
        while (left_s := going.poll(now)) == 0.5:
            assert time.monotonic() < deadline
        return left_s

    def worker(self, layout: Layout, state: WorkerState) -> None:
        told = WorkerStatus("main", os.getpid(), boot_id(), state)
        layout.worker("main").write_bytes(msgspec.json.encode(told))

    def test_waits_for_workers_then_stops_units_then_powers_off(self, layout: Layout) -> None:
        """In this order, and only once the worker has left; the wake alarm is set before the power goes."""
        (layout.root / "wakealarm").touch()
        said: list[str] = []
        going = self.going(layout, "", said, stop_units=("a.service", "b.service"), wake_after_s=600.0)
        self.worker(layout, WorkerState.RUNNING)
        assert going.poll(1000.0) == 0.5
        assert not (layout.root / "calls").exists()
        self.worker(layout, WorkerState.STOPPED)
        assert self.arrive(going, 1000.5) is None
        assert (layout.root / "calls").read_text() == "stop a.service\nstop b.service\npoweroff\n"
        assert (layout.root / "wakealarm").read_text() == "+600"
        assert said == []

    def test_the_card_is_synced_before_the_power_goes(self, layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
        """What the kernel has not written by then is gone."""
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
        """A real RTC refuses an alarm while another one is set; an earlier descent may have left one."""

        class Rtc:
            alarm = "+999"
            writes: ClassVar[list[str]] = []

            def write(self, path: Path, text: str) -> None:
                assert path == layout.root / "wakealarm"
                self.writes.append(text)
                if text != "0" and self.alarm != "0":
                    raise OSError(16, "Device or resource busy", str(path))
                self.alarm = text

        rtc, said = Rtc(), list[str]()
        monkeypatch.setattr(shutdown, "_write", rtc.write)
        assert self.arrive(self.going(layout, "", said, wake_after_s=600.0), 1000.0) is None
        assert (rtc.alarm, rtc.writes, said) == ("+600", ["0", "+600"], [])

    def test_the_grace_is_the_longest_wait(self, layout: Layout) -> None:
        """A worker that does not leave does not keep the power on."""
        said: list[str] = []
        going = self.going(layout, "", said, wake_after_s=None)
        self.worker(layout, WorkerState.RUNNING)
        assert going.poll(1014.9) == pytest.approx(0.1)
        assert self.arrive(going, 1015.0) is None
        assert said == ["worker main did not leave within 15 s"]

    def test_a_failing_unit_and_no_alarm_are_told_and_do_not_stop_it(self, layout: Layout) -> None:
        """What fails is said once; poweroff comes all the same, and is tried again where it fails."""
        said: list[str] = []
        going = self.going(layout, "echo no such unit >&2; exit 5", said, stop_units=("x.service",))
        assert self.arrive(going, 1000.0) == 60.0
        unit, alarm, poweroff = said
        assert unit.endswith("systemctl stop x.service: no such unit")
        assert alarm.startswith("no wake alarm")
        assert poweroff.endswith("systemctl poweroff: no such unit")
        assert (layout.root / "calls").read_text().splitlines()[-1] == "poweroff"

    def test_a_unit_that_does_not_stop_holds_up_neither_the_loop_nor_the_power(self, layout: Layout) -> None:
        """The loop has a watchdog to feed meanwhile; after its time the unit is left as it is."""
        said: list[str] = []
        script = '[ "$1" = poweroff ] || exec sleep 600'
        going = self.going(layout, script, said, stop_units=("x",), wake_after_s=None)
        began = time.monotonic()
        assert going.poll(1000.0) == 0.5
        assert time.monotonic() - began < 10
        assert going.poll(1089.9) == 0.5
        assert self.arrive(going, 1090.1) is None
        (line,) = said
        assert line.endswith("systemctl stop x: no answer for 90 s")
        assert (layout.root / "calls").read_text() == "stop x\npoweroff\n"

    def test_output_without_end_is_cut(self, layout: Layout) -> None:
        """It filled the memory until the time was over."""
        said: list[str] = []
        script = '[ "$1" = poweroff ] || exec yes'
        going = self.going(layout, script, said, stop_units=("x",), wake_after_s=None)
        assert self.arrive(going, 1000.0) is None
        (line,) = said
        assert line.endswith("systemctl stop x: wrote more than 64 KiB")

    def test_a_dry_run_does_nothing(self, layout: Layout) -> None:
        """It says what it would do."""
        said: list[str] = []
        going = self.going(layout, "", said, dry_run=True)
        assert going.poll(1000.0) is None
        assert not (layout.root / "calls").exists()
        assert said[-1].endswith("systemctl poweroff")
        assert len(said) == 5


class TestProbe:
    def test_what_is_found_is_a_configuration_that_loads(self, tmp_path: Path, layout: Layout) -> None:
        """Kernel supplies, the undervoltage detector, a shunt, a charger and the SoC: printed, pasted, loaded."""
        root = tmp_path / "board"
        for name, text in {
            "sys/class/power_supply/battery/type": "Battery",
            "sys/class/power_supply/battery/capacity": "71",
            "sys/class/hwmon/hwmon0/name": "rpi_volt",
            "sys/class/hwmon/hwmon0/in0_lcrit_alarm": "0",
            "sys/class/hwmon/hwmon1/name": "ina3221",
            "sys/class/hwmon/hwmon1/shunt1_resistor": "10000",
            "sys/class/hwmon/hwmon2/name": "ina219",
            "sys/class/thermal/thermal_zone0/type": "cpu-thermal",
            "sys/class/thermal/thermal_zone0/temp": "48300",
            "dev/serial/by-id/usb-VictronEnergy_BV_VE_Direct_cable_VE4-if00-port0": "",
        }.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text + "\n")
        text = as_yaml(probe(layout, root=root))
        assert "# now: charge 71 %" in text
        (tmp_path / "edge.yaml").write_text(text)
        config = load(tmp_path / "edge.yaml", env={}).config.power
        assert [source.label for source in config.sources] == [
            "power_supply", "undervoltage", "shunt1", "shunt2", "shunt3", "ina219", "vedirect", "temperature", "disk",
            "clock",
        ]  # fmt: skip

    def test_what_is_found_twice_by_one_name_is_named_apart(
        self, tmp_path: Path, layout: Layout, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A UPS may be called `clock`: what is printed loads all the same."""
        (tmp_path / "upsc").write_text('#!/bin/sh\n[ "$1" = -l ] && printf "clock\\nups\\n"\n')
        (tmp_path / "upsc").chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
        (tmp_path / "edge.yaml").write_text(as_yaml(probe(layout, root=tmp_path / "nothing")))
        sources = load(tmp_path / "edge.yaml", env={}).config.power.sources
        assert [(source.kind, source.label) for source in sources if source.kind in {"nut", "clock"}] == [
            ("nut", "clock"), ("nut", "ups"), ("clock", "clock-2"),
        ]  # fmt: skip

    def test_a_bare_board_is_told_what_it_lacks(self, tmp_path: Path, layout: Layout) -> None:
        """No detector is a note, and the rest is still a configuration."""
        text = as_yaml(probe(layout, root=tmp_path / "nothing"))
        assert "no undervoltage detector" in text or "vcgencmd" in text
        assert yaml.safe_load(text)["power"]["sources"][-1] == {"kind": "clock"}


class TestReplay:
    def test_tells_when_and_why(self) -> None:
        """A battery that drains and fills again: started, paused, resumed, each with its numbers."""
        samples = [Sample(n * 10.0, (charge(percent),)) for n, percent in enumerate([50] * 3 + [29] * 3 + [46] * 40)]
        changes = list(replay(PowerConfig(), samples))
        assert [(c.state, c.now) for c in changes] == [
            (PowerState.UNKNOWN, 0.0), (PowerState.NORMAL, 20.0), (PowerState.LOW, 50.0), (PowerState.NORMAL, 360.0),
        ]  # fmt: skip
        assert changes[2].reason == "charge 29 %, pause is at 30 %"
        assert changes[2].until == "it reaches 45 % and holds for 5 min"

    def test_a_new_boot_within_the_record_starts_anew(self) -> None:
        """Where the monotonic clock goes back, so does the policy."""
        samples = [Sample(1000.0 + n * 10, (charge(50),)) for n in range(4)]
        samples += [Sample(n * 10.0, (charge(38),)) for n in range(4)]
        assert [c.state for c in replay(PowerConfig(), samples)][-1] is PowerState.LOW

    def test_a_source_that_was_renamed_that_day_does_not_pause_the_rest_of_it(self) -> None:
        """As for the governor that was restarted with it: the old name is no sensor that fell silent."""
        samples = [Sample(n * 10.0, (charge(50),)) for n in range(4)]
        renamed = msgspec.structs.replace(charge(50), source="cells")
        samples += [Sample(100.0 + n * 10, (renamed,)) for n in range(40)]
        assert [c.state for c in replay(PowerConfig(), samples)] == [PowerState.UNKNOWN, PowerState.NORMAL]


class TestSimulate:
    def test_needs_a_simulated_source(self, layout: Layout) -> None:
        """On a board with real sensors nobody plays with its power."""
        with pytest.raises(UsageError, match="no simulated source"):
            simulate(PowerConfig(), layout, "low")

    def test_a_state_that_is_none_is_named(self, layout: Layout) -> None:
        """One line with what is allowed."""
        with pytest.raises(UsageError, match="one of surplus, normal, low, critical, unknown"):
            simulate(PowerConfig(sources=(SimulatedConfig(),)), layout, "sunny")


class TestPace:
    def run(self, *percents: float, every_s: float = 10.0) -> float:
        rules, state = from_config(PowerConfig()), policy.PolicyState()
        for n, percent in enumerate(percents):
            state = policy.step(rules, state, (charge(percent),), 1000 + n * every_s, None)
        return pace.period_s(SamplingConfig(), rules, state)

    @pytest.mark.parametrize(
        ("percents", "period_s"),
        [([60], 2.0), ([60] * 4, 10.0), ([60] * 80, 30.0), ([60] * 4 + [29], 2.0), ([32] * 4, 10.0),
         ([60] * 4 + [32], 2.0), ([60] * 80 + [32] * 9, 10.0), ([20] * 80, 10.0)],
    )  # fmt: skip
    def test_looks_more_often_where_something_may_happen(self, percents: list[float], period_s: float) -> None:
        """At a start, near a threshold and while samples count: fast; long stable and good: slow; else as usual."""
        assert self.run(*percents) == period_s


class TestWords:
    def test_every_state_of_a_day_has_code_reason_and_end(self) -> None:
        """Through a whole simulated day no decision is without words, and codes are words joined by dashes."""
        rules, state = from_config(PowerConfig()), policy.PolicyState()
        seen = set()
        percents = [60, 60, 60, 38, 29, 29, 29, 38, 46, *[46] * 31, 92, *[92] * 31, 9, 9]
        readings: list[tuple[Reading, ...]] = [(charge(p),) for p in percents]
        readings += [(Reading("battery", "charge", reason="gone", unit="%"),)] * 3
        for n, batch in enumerate(readings):
            state = policy.step(rules, state, batch, n * 10.0, 60)
            said = words.explain(rules, state)
            seen.add(said.code)
            assert said.reason, state
            assert said.until or state.level is Level.NORMAL, state
        assert seen == {
            "starting", "normal", "charge-low", "charge-settling", "surplus", "charge-critical", "charge-unknown",
        }  # fmt: skip

    def test_all_that_is_low_has_to_end(self) -> None:
        """A full battery does not start a job on a board that is too hot."""
        night = PolicyConfig(windows=(WindowConfig(from_="00:00", to="06:00", at_most="low"),))
        config = PowerConfig(sources=(TemperatureConfig(),), policy=night)
        rules, state = from_config(config), policy.PolicyState()
        hot = Reading("temperature", "temperature", 90.0, "C", verdict=Verdict.OK)
        for n in range(3):
            state = policy.step(rules, state, (charge(20), hot), n * 10.0, 60)
        said = words.explain(rules, state)
        assert said.reason == "charge 20 %, pause is at 30 %"
        first, *others = said.until.split("; ")
        assert first == "it reaches 45 % and holds for 5 min"
        assert others == [
            "for temperature 90 C: it falls to 70 C",
            "for the time of day: the window ends and holds for 5 min",
        ]


class TestWatch:
    def test_tells_of_writes_renames_and_removals(self, tmp_path: Path) -> None:
        """By name, without blocking when there is nothing."""
        watch = Watch(tmp_path)
        assert watch.read().names == set()
        (tmp_path / "a").write_text("x")
        (tmp_path / "a").rename(tmp_path / "b")
        (tmp_path / "b").unlink()
        assert select.select([watch], [], [], 5)[0]
        assert watch.read().names == {"a", "b"}
        watch.close()
        watch.close()


def test_a_whole_solar_day_pauses_and_resumes_once(layout: Layout) -> None:
    """The simulated sun through the default policy: low at night, normal by day, no flapping."""
    sun = Simulated(SimulatedConfig(day_s=86_400.0), live=layout.simulated)
    samples = [Sample(n * 30.0, sun.read(n * 30.0)) for n in range(2 * 86_400 // 30)]
    states = [change.state for change in replay(PowerConfig(), samples)]
    assert all(a is not b for a, b in pairwise(states))
    assert states.count(PowerState.LOW) == 2, states
