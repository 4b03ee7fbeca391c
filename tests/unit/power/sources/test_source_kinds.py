"""What is particular to one kind of source."""

from __future__ import annotations

import os
import pty
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from gpiozero import Device
from gpiozero.pins.mock import MockFactory

from edge.config.sources import SimulatedStep
from edge.model import Reading, Verdict
from edge.power.sources.clock import Clock
from edge.power.sources.nut import Nut
from edge.power.sources.pin import Pin
from edge.power.sources.power_supply import PowerSupply
from edge.power.sources.psutil_battery import PsutilBattery
from edge.power.sources.reading import JumpCheck, Source
from edge.power.sources.shunt import Shunt
from edge.power.sources.simulated import Simulated
from edge.power.sources.undervoltage import Undervoltage
from edge.power.sources.vedirect import Frames, VeDirect


def tree(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text + "\n")
    return root


def program(path: Path, body: str) -> str:
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return str(path)


def read(source: Source, now: float = 0.0) -> dict[str, Reading]:
    return {r.what if r.source == source.name else f"{r.source}/{r.what}": r for r in source.read(now)}  # type: ignore[attr-defined]


class TestPowerSupply:
    def test_a_gauge_over_100_is_full(self, tmp_path: Path) -> None:
        """MAX17040 gauges go some points over 100: clamped, and no further than plausible."""
        supply = PowerSupply(root=tree(tmp_path, {"battery/type": "Battery", "battery/capacity": "104"}))
        assert read(supply)["charge"].value == 100.0

    def test_status_unknown_and_no_mains_says_nothing_of_the_supply(self, tmp_path: Path) -> None:
        """A gauge that never knows whether it charges gives no guess about mains."""
        files = {"battery/type": "Battery", "battery/capacity": "50", "battery/status": "Unknown"}
        assert "supply" not in read(PowerSupply(root=tree(tmp_path, files)))

    def test_status_tells_of_the_supply_where_no_mains_node_is(self, tmp_path: Path) -> None:
        """Without any mains node, Discharging means on battery and Charging means power from outside."""
        files = {"battery/type": "Battery", "battery/capacity": "50", "battery/status": "Discharging"}
        supply = PowerSupply(root=tree(tmp_path, files))
        assert read(supply)["supply"].value == 0.0
        tree(tmp_path, {"battery/status": "Charging"})
        assert read(supply)["supply"].value == 1.0

    def test_charge_from_energy_or_charge_counters(self, tmp_path: Path) -> None:
        """A battery without `capacity` is calculated from what it has."""
        files = {"b/type": "Battery", "b/charge_now": "1500000", "b/charge_full": "2000000"}
        assert read(PowerSupply(root=tree(tmp_path, files)))["charge"].value == 75.0

    def test_zero_charge_with_plausible_volts_is_an_empty_battery(self, tmp_path: Path) -> None:
        """0 % alone is a bad bus; with 3.2 V beside it, it is a battery that is empty."""
        files = {"b/type": "Battery", "b/capacity": "0", "b/voltage_now": "3200000"}
        assert read(PowerSupply(root=tree(tmp_path, files)))["charge"].value == 0.0

    def test_several_batteries_are_told_apart(self, tmp_path: Path) -> None:
        """Two batteries give two readings under their own names; one that is unplugged becomes unknown."""
        files = {"BAT0/type": "Battery", "BAT0/capacity": "40", "BAT1/type": "Battery", "BAT1/capacity": "60"}
        supply = PowerSupply("ups", root=tree(tmp_path, files))
        seen = read(supply)
        assert (seen["ups:BAT0/charge"].value, seen["ups:BAT1/charge"].value) == (40.0, 60.0)
        (tmp_path / "BAT1" / "type").unlink()
        seen = read(supply)
        assert (seen["ups:BAT0/charge"].value, seen["ups:BAT1/charge"].value) == (40.0, None)

    def test_a_battery_that_comes_back_under_another_name_is_the_same(self, tmp_path: Path) -> None:
        """A driver that is bound again numbers its node anew: the old name must not stay unplugged for ever."""
        supply = PowerSupply("ups", root=tree(tmp_path, {"BAT0/type": "Battery", "BAT0/capacity": "40"}))
        assert read(supply)["charge"].value == 40.0
        for name in ("BAT1", "BAT0"):
            (tmp_path / ("BAT0" if name == "BAT1" else "BAT1")).rename(tmp_path / name)
            assert {key: reading.value for key, reading in read(supply).items()} == {"charge": 40.0}

    def test_what_was_told_before_is_unknown_while_nothing_is_there(self, tmp_path: Path) -> None:
        """Mains alone that vanish are a supply that is unknown, not a battery that nobody has."""
        supply = PowerSupply(root=tree(tmp_path, {}))
        assert [(each.what, each.verdict) for each in supply.read(0.0)] == [("source", Verdict.UNKNOWN)]
        tree(tmp_path, {"ac/type": "Mains", "ac/online": "1"})
        assert read(supply)["supply"].value == 1.0
        (tmp_path / "ac" / "type").unlink()
        assert [(each.what, each.verdict) for each in supply.read(0.0)] == [("supply", Verdict.UNKNOWN)]

    def test_a_full_battery_may_stand_still(self, tmp_path: Path) -> None:
        """Full on mains for days is no frozen gauge."""
        files = {"b/type": "Battery", "b/capacity": "97", "b/status": "Full"}
        supply = PowerSupply(root=tree(tmp_path, files), frozen_after_s=100.0)
        read(supply, 0.0)
        assert read(supply, 1e6)["charge"].value == 97.0

    def test_any_mains_that_is_online_is_power_from_outside(self, tmp_path: Path) -> None:
        """Of several inputs one is enough."""
        files = {"usb/type": "USB", "usb/online": "0", "ac/type": "Mains", "ac/online": "1"}
        assert read(PowerSupply(root=tree(tmp_path, files)))["supply"].value == 1.0


class TestJump:
    def test_a_jump_is_believed_once_it_stays(self) -> None:
        """80, then 12, 12, 12: the third is believed, as a battery may really have been exchanged."""
        jump = JumpCheck(20.0)
        assert [bool(jump.check(10.0 * n, v)) for n, v in enumerate([80, 12, 12, 12, 12])] == [
            False, True, True, False, False,
        ]  # fmt: skip

    def test_garbage_that_jumps_about_is_never_believed(self) -> None:
        """A bus that answers anything keeps being doubted."""
        jump = JumpCheck(20.0)
        values = [80, 10, 50, 10, 50, 10]
        assert [bool(jump.check(10.0 * n, v)) for n, v in enumerate(values)] == [False, *[True] * 5]

    def test_time_between_samples_explains_a_jump(self) -> None:
        """After a long gap nothing can be said of the difference."""
        jump = JumpCheck(20.0)
        assert not jump.check(0.0, 80)
        assert not jump.check(10_000.0, 12)


class TestPsutil:
    def test_no_battery_is_unknown(self) -> None:
        """psutil answers None on many Raspberry Pi systems."""
        assert read(PsutilBattery(sensors=lambda: None))["charge"].reason == "psutil sees no battery"

    def test_an_exception_of_psutil_is_unknown(self) -> None:
        """psutil raises what its parsing trips over; that is a reason, not a crash."""

        def fail() -> None:
            raise IndexError("pop from empty list")

        assert read(PsutilBattery(sensors=fail))["charge"].reason == "psutil: IndexError: pop from empty list"


class TestUndervoltage:
    def test_low_now_is_low(self, tmp_path: Path) -> None:
        """The alarm of now is `low` in all three ways to ask."""
        tree(tmp_path, {"hwmon0/name": "rpi_volt", "hwmon0/in0_lcrit_alarm": "1", "throttled": "50005"})
        fake = program(tmp_path / "vcgencmd", "echo throttled=0x50005")
        for source in (
            Undervoltage(hwmon_root=tmp_path),
            Undervoltage(via="get_throttled", get_throttled=tmp_path / "throttled"),
            Undervoltage(via="vcgencmd", vcgencmd=fake),
        ):
            assert (read(source)["undervoltage"].value, read(source)["undervoltage"].verdict) == (1.0, Verdict.LOW)

    def test_a_board_without_a_detector_is_told(self, tmp_path: Path) -> None:
        """No rpi_volt chip is unknown, and the reason says which boards have none."""
        assert "Zero boards" in read(Undervoltage(hwmon_root=tmp_path))["undervoltage"].reason

    def test_hwmon_renumbered_is_found_again(self, tmp_path: Path) -> None:
        """The chip is looked for by name at each read."""
        tree(tmp_path, {"hwmon1/name": "rpi_volt", "hwmon1/in0_lcrit_alarm": "0"})
        source = Undervoltage(hwmon_root=tmp_path)
        assert read(source)["undervoltage"].value == 0.0
        (tmp_path / "hwmon1").rename(tmp_path / "hwmon4")
        tree(tmp_path, {"hwmon1/name": "nvme"})
        assert read(source)["undervoltage"].value == 0.0

    def test_a_slow_vcgencmd_never_holds_us_up_and_is_handed_out_later(self, tmp_path: Path) -> None:
        """An answer after the patience comes with the next read; meanwhile it is unknown."""
        source = Undervoltage(via="vcgencmd", vcgencmd=program(tmp_path / "v", "sleep 0.5; echo throttled=0x1"))
        started = time.monotonic()
        assert read(source, 0.0)["undervoltage"].verdict is Verdict.UNKNOWN
        assert time.monotonic() - started < 0.45
        deadline = time.monotonic() + 10
        while (seen := read(source, 1.0)["undervoltage"]).value is None:
            assert time.monotonic() < deadline
        assert seen.value == 1.0
        source.close()


class TestPin:
    @pytest.fixture(autouse=True)
    def factory(self) -> Iterator[MockFactory]:
        factory = Device.pin_factory = MockFactory()
        yield factory
        factory.reset()
        Device.pin_factory = None

    @pytest.mark.parametrize("pull", ["none", "up", "down"])
    @pytest.mark.parametrize("active", ["high", "low"])
    def test_polarity_and_pull_are_independent(self, factory: MockFactory, pull: str, active: str) -> None:
        """`active` speaks of the level on the wire, whatever pulls it."""
        pin = Pin(pin=6, active=active, pull=pull)
        pin.read(0.0)
        factory.pin(6).drive_high()
        assert read(pin)["supply"].value == float(active == "high")
        factory.pin(6).drive_low()
        assert read(pin)["supply"].value == float(active == "low")
        pin.close()

    def test_an_edge_tells_at_once(self, factory: MockFactory) -> None:
        """Both edges call `notify`, within milliseconds and without a read in between."""
        told = threading.Semaphore(0)
        pin = Pin(pin=6, notify=told.release)
        pin.read(0.0)
        factory.pin(6).drive_high()
        assert told.acquire(timeout=5)
        factory.pin(6).drive_low()
        assert told.acquire(timeout=5)
        pin.close()

    def test_low_battery_is_what_is_configured(self, factory: MockFactory) -> None:
        """An LBO line is low or critical, and no objection while it is quiet."""
        for tells, verdict in (("low_battery", Verdict.LOW), ("critical_battery", Verdict.CRITICAL)):
            pin = Pin(pin=5, tells=tells, active="low", pull="none")
            pin.read(0.0)
            factory.pin(5).drive_high()
            assert read(pin)["low_battery"].verdict is Verdict.OK
            factory.pin(5).drive_low()
            assert read(pin)["low_battery"].verdict is verdict
            pin.close()


INA219 = {
    "hwmon0/name": "ina219", "hwmon0/in1_input": "5100", "hwmon0/curr1_input": "800",
    "hwmon0/power1_input": "4080000", "hwmon0/shunt_resistor": "10000",
}  # fmt: skip


class TestShunt:
    def test_a_wrong_shunt_makes_the_current_unknown_and_leaves_the_volts(self, tmp_path: Path) -> None:
        """Ten times wrong is not a number to work with; the bus voltage does not depend on the shunt."""
        seen = read(Shunt(root=tree(tmp_path, INA219), shunt_milliohm=100.0))
        assert seen["volts"].value == 5.1
        assert (seen["amps"].value, seen["watts"].value) == (None, None)
        assert "10 milliohm, configured is 100" in seen["watts"].reason

    def test_an_unchecked_shunt_is_said(self, tmp_path: Path) -> None:
        """Without the value on the board, the current comes with its condition."""
        seen = read(Shunt(root=tree(tmp_path, INA219)))
        assert (seen["watts"].value, seen["watts"].reason) == (4.08, "if the shunt is 10 milliohm")

    def test_a_channel_of_an_ina3221(self, tmp_path: Path) -> None:
        """Three channels, each with its own shunt, and no power of its own: volts times amps."""
        files = {"name": "ina3221", "shunt1_resistor": "100000", "shunt2_resistor": "100000"}
        files |= {"in1_input": "12000", "in2_input": "5000", "curr1_input": "1", "curr2_input": "1200"}
        tree(tmp_path / "hwmon0", files)
        seen = read(Shunt(root=tmp_path, channel=2, shunt_milliohm=100))
        assert (seen["volts"].value, seen["amps"].value, seen["watts"].value) == (5.0, 1.2, 6.0)


class TestNut:
    @pytest.mark.parametrize(
        ("status", "supply", "verdict"),
        [("OL CHRG", 1.0, Verdict.OK), ("OB DISCHRG", 0.0, Verdict.OK), ("OB LB", 0.0, Verdict.CRITICAL),
         ("OL LB", 1.0, Verdict.LOW), ("FSD OB LB", 0.0, Verdict.CRITICAL), ("BYPASS", None, Verdict.OK)],
    )  # fmt: skip
    def test_status_words(self, tmp_path: Path, status: str, supply: float | None, verdict: Verdict) -> None:
        """OB and LB together are critical, as for upsmon; LB on line is low; neither OL nor OB is unknown."""
        seen = read(Nut(upsc=program(tmp_path / "upsc", f"echo 'ups.status: {status}'")))
        assert seen["supply"].value == supply
        assert seen["low_battery"].verdict is verdict

    def test_absurd_numbers_are_unknown_each_for_itself(self, tmp_path: Path) -> None:
        """nan, text and 500 % spoil their own reading only."""
        body = "printf 'battery.charge: nan\\nbattery.runtime: soon\\nups.realpower: -5\\nups.status: OL\\n'"
        seen = read(Nut(upsc=program(tmp_path / "upsc", body)))
        assert [seen[what].value for what in ("charge", "runtime", "watts", "supply")] == [None, None, None, 1.0]


def frame(*fields: tuple[str, str]) -> bytes:
    body = b"".join(f"\r\n{key}\t{value}".encode() for key, value in fields) + b"\r\nChecksum\t"
    return body + bytes([-sum(body) % 256])


class TestVeDirect:
    def test_a_device_that_is_no_serial_line_is_told_in_words(self, tmp_path: Path) -> None:
        """A path that was mistyped, or a file in its place."""
        (tmp_path / "tty").write_text("x")
        seen = read(VeDirect(device=tmp_path / "tty"))
        assert seen["volts"].reason == f"{tmp_path / 'tty'}: Inappropriate ioctl for device"

    def test_frames_come_in_any_pieces(self) -> None:
        """The stream may be cut anywhere, and begin in the middle of a frame."""
        one = frame(("V", "13150"), ("CS", "5"))
        stream = one[7:] + one * 3
        frames = Frames()
        assert sum(len(list(frames.feed(stream[i : i + 3]))) for i in range(0, len(stream), 3)) == 3
        assert frames.bad == 1

    def test_hex_messages_between_do_not_spoil_a_frame(self) -> None:
        """Answers of the HEX protocol may come within a text frame and are not in its sum."""
        one = frame(("V", "13150"), ("CS", "5"))
        cut = one.index(b"\r\nCS")
        assert [f["V"] for f in Frames().feed(one[:cut] + b":A0002000148\n" + one[cut:])] == ["13150"]

    @pytest.mark.parametrize(
        ("phase", "verdict"),
        [("3", Verdict.OK), ("4", Verdict.SURPLUS), ("5", Verdict.SURPLUS), ("0", Verdict.OK), ("2", Verdict.LOW),
         ("99", Verdict.UNKNOWN), ("x", Verdict.UNKNOWN)],
    )  # fmt: skip
    def test_the_phase_of_the_charger(self, tmp_path: Path, phase: str, verdict: Verdict) -> None:
        """Absorption and float say that the battery wants no more; a fault is low, not off."""
        master, slave = pty.openpty()
        source = VeDirect(device=Path(os.ttyname(slave)))
        source.read(0.0)
        os.write(master, frame(("V", "13150"), ("CS", phase), ("ERR", "17")))
        assert read(source, 1.0)["phase"].verdict is verdict
        source.close()
        os.close(master)
        os.close(slave)

    def test_age_grows_while_the_line_is_silent(self) -> None:
        """The age is the time since the port was last seen talking, and beyond the limit it is unknown."""
        master, slave = pty.openpty()
        source = VeDirect(device=Path(os.ttyname(slave)))
        source.read(0.0)
        os.write(master, frame(("V", "13150"), ("CS", "3")))
        ages = [read(source, now)["volts"] for now in (10.0, 20.0, 30.0, 40.0)]
        assert [r.age_s for r in ages] == [10.0, 20.0, 30.0, 40.0]
        assert [r.value for r in ages] == [13.15, 13.15, 13.15, None]
        source.close()
        os.close(master)
        os.close(slave)


class TestClock:
    def test_a_clock_in_the_past_is_low(self) -> None:
        """1970 is a reason to hold: nothing that goes by time can be right."""
        seen = read(Clock(wall=lambda: 100.0, sync=lambda: True))["clock"]
        assert (seen.verdict, "1970" in seen.reason) == (Verdict.LOW, True)

    @pytest.mark.parametrize(("required", "verdict"), [(True, Verdict.LOW), (False, Verdict.OK)])
    def test_an_unsynchronised_clock(self, required: bool, verdict: Verdict) -> None:
        """Is told always, and objected to where configured."""
        seen = read(Clock(wall=lambda: 1.8e9, sync=lambda: False, require_sync=required))["clock"]
        assert (seen.verdict, seen.reason) == (verdict, "not synchronised")


class TestSimulated:
    def test_a_script_goes_by_time(self, tmp_path: Path) -> None:
        """Each step lasts its time; then it starts over, or stays at its last step."""
        script = (SimulatedStep(for_s=10, state="surplus"), SimulatedStep(for_s=5, state="low"))
        for loop, last in ((True, Verdict.SURPLUS), (False, Verdict.LOW)):
            source = Simulated(live=tmp_path / "state", script=script, loop=loop)
            verdicts = [read(source, 100.0 + t)["simulated"].verdict for t in (0, 9, 10, 14, 15)]
            assert verdicts == [Verdict.SURPLUS, Verdict.SURPLUS, Verdict.LOW, Verdict.LOW, last]

    def test_a_solar_day_is_dark_at_night_and_full_at_dusk(self, tmp_path: Path) -> None:
        """Watts follow the sun, the battery follows the watts, and all values stay plausible."""
        source = Simulated(live=tmp_path / "state", day_s=24.0)
        hours = [read(source, float(hour)) for hour in range(24)]
        watts = [h["solar_watts"].value for h in hours]
        charge = [h["charge"].value or 0.0 for h in hours]
        assert watts[0] == watts[23] == 0.0
        assert watts[12] == 60.0
        assert min(charge) < 20
        assert max(charge) > 99
        assert charge.index(max(charge)) in {19, 20}
