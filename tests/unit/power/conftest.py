"""Rigs: for each kind of source the real thing it reads (files, a pty, a program, a pin) and ways to break it."""

from __future__ import annotations

import os
import pty
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from gpiozero import Device, DigitalInputDevice
from gpiozero.pins.mock import MockFactory, MockPin

from edge.core.layout import Layout
from edge.power.inputs.source import Source
from edge.power.sources.clock import Clock, ClockConfig
from edge.power.sources.disk import Disk, DiskConfig
from edge.power.sources.nut import Nut, NutConfig
from edge.power.sources.pin import PinConfig, PinSource
from edge.power.sources.plain import Plain, PlainConfig
from edge.power.sources.power_supply import PowerSupply, PowerSupplyConfig
from edge.power.sources.psutil_battery import PsutilBattery, PsutilBatteryConfig
from edge.power.sources.shunt import Shunt, ShuntConfig
from edge.power.sources.simulated import Simulated, SimulatedConfig
from edge.power.sources.temperature import Temperature, TemperatureConfig
from edge.power.sources.undervoltage import Undervoltage, UndervoltageConfig
from edge.power.sources.vedirect import VeDirect, VeDirectConfig

Values = dict[str, tuple[float, str]]


class Rig:
    """One kind of source on its own real input. `faults` break it; `good` mends it again."""

    main = "charge"  # the reading that a fault makes unknown
    frozen_after_s = 0.0
    source: Source

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.faults: dict[str, Callable[[], None]] = {}

    def open(self) -> Source:
        """The source on this rig's input."""
        raise NotImplementedError

    def good(self) -> Values:
        """Put good input in place; returns what must be read from it."""
        raise NotImplementedError

    def close(self) -> None:
        """Take down what is not a file."""


def write(path: Path, text: str | bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())


def program(path: Path, body: str) -> None:
    write(path, f"#!/bin/sh\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


class PowerSupplyRig(Rig):
    frozen_after_s = 3600.0

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        battery = folder / "battery"
        self.faults = {
            "missing": lambda: shutil.rmtree(battery),
            "empty": lambda: write(battery / "capacity", ""),
            "garbled": lambda: write(battery / "capacity", b"\xff\xfe8"),
            "words": lambda: write(battery / "capacity", "eighty\n"),
            "zero": self.zero,
            "absurd": lambda: write(battery / "capacity", "65535\n"),
            "negative": lambda: write(battery / "capacity", "-1\n"),
            "jumped": lambda: write(battery / "capacity", "5\n"),
            "not fitted": lambda: write(battery / "present", "0\n"),
        }

    def open(self) -> Source:
        return PowerSupply(PowerSupplyConfig(root=self.folder, frozen_after_s=self.frozen_after_s))

    def good(self) -> Values:
        battery = self.folder / "battery"
        for name, text in {
            "type": "Battery", "present": "1", "capacity": "71", "voltage_now": "3925000",
            "current_now": "-200000", "status": "Discharging",
        }.items():  # fmt: skip
            write(battery / name, text + "\n")
        write(self.folder / "mains" / "type", "Mains\n")
        write(self.folder / "mains" / "online", "0\n")
        write(self.folder / "mouse" / "type", "Battery\n")
        write(self.folder / "mouse" / "scope", "Device\n")
        write(self.folder / "mouse" / "capacity", "3\n")
        return {"charge": (71.0, "%"), "volts": (3.925, "V"), "watts": (0.785, "W"), "supply": (0.0, "")}

    def zero(self) -> None:
        write(self.folder / "battery" / "capacity", "0\n")
        write(self.folder / "battery" / "voltage_now", "0\n")


class PsutilRig(Rig):
    """psutil itself, on a tree in place of `/sys/class/power_supply`."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.faults = {
            "missing": lambda: shutil.rmtree(folder / "BAT0"),
            "garbled": self.garble,
            "zero": lambda: write(folder / "BAT0" / "energy_now", "0\n"),
            "absurd": lambda: write(folder / "BAT0" / "energy_now", "900000000\n"),
            "jumped": lambda: write(folder / "BAT0" / "energy_now", "2500000\n"),
        }

    def open(self) -> Source:
        return PsutilBattery(PsutilBatteryConfig())

    def good(self) -> Values:
        for name, text in {
            "energy_now": "25000000", "energy_full": "50000000", "power_now": "5000000", "status": "Discharging",
            "capacity": "50",
        }.items():  # fmt: skip
            write(self.folder / "BAT0" / name, text + "\n")
        write(self.folder / "AC0" / "online", "0\n")
        return {"charge": (50.0, "%"), "supply": (0.0, ""), "runtime": (18000.0, "s")}

    def garble(self) -> None:
        for name in ("energy_now", "capacity"):
            write(self.folder / "BAT0" / name, "x\n")


class HwmonUndervoltageRig(Rig):
    main = "undervoltage"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.faults = {
            "missing": lambda: shutil.rmtree(folder / "hwmon2"),
            "garbled": lambda: write(folder / "hwmon2" / "in0_lcrit_alarm", "yes\n"),
            "absurd": lambda: write(folder / "hwmon2" / "in0_lcrit_alarm", "7\n"),
            "empty": lambda: write(folder / "hwmon2" / "in0_lcrit_alarm", ""),
        }

    def open(self) -> Source:
        return Undervoltage(UndervoltageConfig(hwmon_root=self.folder))

    def good(self) -> Values:
        write(self.folder / "hwmon0" / "name", "cpu_thermal\n")
        write(self.folder / "hwmon2" / "name", "rpi_volt\n")
        write(self.folder / "hwmon2" / "in0_lcrit_alarm", "0\n")
        return {"undervoltage": (0.0, "")}


class ThrottledFileRig(Rig):
    main = "undervoltage"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.path = folder / "get_throttled"
        self.faults = {
            "missing": self.path.unlink,
            "garbled": lambda: write(self.path, "zzz\n"),
            "absurd": lambda: write(self.path, "123456789abc\n"),
            "empty": lambda: write(self.path, "\n"),
        }

    def open(self) -> Source:
        return Undervoltage(UndervoltageConfig(via="get_throttled", get_throttled=self.path))

    def good(self) -> Values:
        write(self.path, "50004\n")  # throttled now; under voltage and throttled since boot
        return {"undervoltage": (0.0, ""), "throttled": (4.0, "")}


class VcgencmdRig(Rig):
    main = "undervoltage"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.path = folder / "vcgencmd"
        self.faults = {
            "missing": self.path.unlink,
            "garbled": lambda: program(self.path, "echo throttled=maybe"),
            "binary": lambda: program(self.path, r"printf '\377\376'"),
            "fails": lambda: program(self.path, "echo 'VCHI initialization failed' >&2; exit 255"),
            "hangs": lambda: program(self.path, "exec sleep 60"),
            "empty": lambda: program(self.path, ":"),
        }

    def open(self) -> Source:
        return Undervoltage(UndervoltageConfig(via="vcgencmd", vcgencmd=str(self.path)))

    def good(self) -> Values:
        program(self.path, '[ "$1" = get_throttled ] && echo throttled=0x50000')
        return {"undervoltage": (0.0, ""), "throttled": (0.0, "")}


class PinRig(Rig):
    """gpiozero's own mock pins, on a chip that can be taken away."""

    main = "supply"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        rig = self

        class Fragile(MockPin):  # type: ignore[misc] # gpiozero has no types
            def _get_state(self) -> Any:
                if rig.gone:
                    raise OSError(19, "No such device")
                return super()._get_state()

            state = property(lambda self: self._get_state(), MockPin.state.fset)

        self.gone = False
        self.other: Any = None
        self.factory = Device.pin_factory = MockFactory(pin_class=Fragile)
        self.faults = {"missing": self.vanish, "owned by another": self.occupy}

    def open(self) -> Source:
        return PinSource(PinConfig(pin=6))

    def good(self) -> Values:
        self.gone = False
        if self.other is not None:
            self.other.close()
        self.factory.pin(6).drive_high()
        return {"supply": (1.0, "")}

    def vanish(self) -> None:
        self.gone = True

    def occupy(self) -> None:
        self.source.close()
        self.other = DigitalInputDevice(6, pull_up=None, active_state=True)

    def close(self) -> None:
        if self.other is not None:
            self.other.close()
        self.factory.reset()
        Device.pin_factory = None


class ShuntRig(Rig):
    main = "volts"
    frozen_after_s = 900.0

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.chip = folder / "hwmon1"
        self.faults = {
            "missing": lambda: shutil.rmtree(self.chip),
            "garbled": lambda: write(self.chip / "in1_input", "12.6 V\n"),
            "zero": lambda: write(self.chip / "in1_input", "0\n"),
            "absurd": lambda: write(self.chip / "in1_input", "99999999\n"),
        }

    def open(self) -> Source:
        return Shunt(
            ShuntConfig(root=self.folder, measures="board", shunt_milliohm=100.0, frozen_after_s=self.frozen_after_s)
        )

    def good(self) -> Values:
        write(self.folder / "hwmon0" / "name", "rpi_volt\n")
        for name, text in {
            "name": "ina219", "in0_input": "41", "in1_input": "12610", "curr1_input": "-412",
            "power1_input": "5195320", "shunt_resistor": "100000",
        }.items():  # fmt: skip
            write(self.chip / name, text + "\n")
        return {"volts": (12.61, "V"), "amps": (-0.412, "A"), "watts": (5.19532, "W")}


class NutRig(Rig):
    """A program in the place of upsc; the real one against a real upsd is in tests/integration."""

    main = "supply"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.path = folder / "upsc"
        self.faults = {
            "missing": self.path.unlink,
            "stale": lambda: program(self.path, "echo 'Error: Data stale' >&2; exit 1"),
            "refused": lambda: program(self.path, "echo 'Error: Connection failure: Connection refused' >&2; exit 1"),
            "garbled": lambda: program(self.path, "echo 'ups.status: ?'"),
            "empty": lambda: program(self.path, ":"),
            "contradicts itself": lambda: program(self.path, "echo 'ups.status: OL OB'"),
            "hangs": lambda: program(self.path, "exec sleep 60"),
        }

    def open(self) -> Source:
        return Nut(NutConfig(ups="test@localhost", upsc=str(self.path)))

    def good(self) -> Values:
        program(
            self.path,
            "echo 'Init SSL without certificate database' >&2\n"
            "printf 'battery.charge: 64\\nbattery.runtime: 1080\\nups.realpower: 7.5\\nups.status: OB DISCHRG\\n'",
        )
        return {
            "supply": (0.0, ""), "low_battery": (0.0, ""), "charge": (64.0, "%"), "runtime": (1080.0, "s"),
            "watts": (7.5, "W"),
        }  # fmt: skip


def frame(*fields: tuple[str, str]) -> bytes:
    """A VE.Direct text frame with its checksum."""
    body = b"".join(f"\r\n{key}\t{value}".encode() for key, value in fields) + b"\r\nChecksum\t"
    return body + bytes([-sum(body) % 256])


GOOD_FRAME = frame(
    ("PID", "0xA053"), ("V", "13150"), ("I", "1200"), ("VPV", "18600"), ("PPV", "16"), ("CS", "3"), ("ERR", "0")
)


class VeDirectRig(Rig):
    """A pty in the place of the serial line, under a name that can be unplugged."""

    main = "volts"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.device = folder / "ttyUSB0"
        self.master = self.slave = -1
        self.plug()
        self.faults = {
            "missing": self.unplug,
            "silent": lambda: None,
            "bad checksum": lambda: self.send(GOOD_FRAME[:-1] + bytes([(GOOD_FRAME[-1] + 1) % 256])),
            "noise": lambda: self.send(bytes(range(256)) * 4),
            "words": lambda: self.send(frame(("V", "thirteen"), ("CS", "3"))),
            "zero": lambda: self.send(frame(("V", "0"), ("CS", "3"))),
            "absurd": lambda: self.send(frame(("V", "999999999"), ("CS", "3"))),
        }

    def plug(self) -> None:
        self.master, self.slave = pty.openpty()
        os.set_blocking(self.master, False)
        self.device.symlink_to(os.ttyname(self.slave))

    def unplug(self) -> None:
        self.device.unlink()
        os.close(self.master)
        os.close(self.slave)
        self.master = self.slave = -1

    def send(self, data: bytes) -> None:
        os.write(self.master, data)

    def open(self) -> Source:
        return VeDirect(VeDirectConfig(device=self.device))

    def good(self) -> Values:
        if self.master < 0:
            self.plug()
        self.send(GOOD_FRAME)
        return {"volts": (13.15, "V"), "amps": (1.2, "A"), "solar_watts": (16.0, "W"), "phase": (3.0, "")}

    def close(self) -> None:
        for fd in (self.master, self.slave):
            if fd >= 0:
                os.close(fd)


class TemperatureRig(Rig):
    main = "temperature"
    frozen_after_s = 7200.0

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.path = folder / "thermal_zone0" / "temp"
        self.faults = {
            "missing": self.path.unlink,
            "garbled": lambda: write(self.path, "warm\n"),
            "zero": lambda: write(self.path, "0\n"),
            "absurd": lambda: write(self.path, "2147483647\n"),
            "empty": lambda: write(self.path, ""),
        }

    def open(self) -> Source:
        return Temperature(TemperatureConfig(path=self.path, frozen_after_s=self.frozen_after_s))

    def good(self) -> Values:
        write(self.path, "48312\n")
        return {"temperature": (48.312, "C")}


class DiskRig(Rig):
    main = "disk"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.path = folder / "state"
        self.faults = {"missing": self.path.unlink, "no size": self.sizeless}

    def open(self) -> Source:
        return Disk(DiskConfig(), path=self.path)

    def good(self) -> Values:
        self.path.unlink(missing_ok=True)
        self.path.symlink_to(self.folder)
        usage = os.statvfs(self.folder)
        return {"disk": (round(usage.f_bavail * usage.f_frsize / 1e6, 1), "MB")}

    def sizeless(self) -> None:
        self.path.unlink()
        self.path.symlink_to("/proc")


class ClockRig(Rig):
    main = "clock"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.seconds = 0.0
        self.refused = False

        def fail() -> None:
            self.refused = True

        def absurd() -> None:
            self.seconds = 1e30

        self.faults = {"refused": fail, "absurd": absurd}

    def open(self) -> Source:
        return Clock(ClockConfig(require_sync=True), wall=lambda: self.seconds, sync=self.sync)

    def good(self) -> Values:
        self.seconds, self.refused = 1_800_000_000.0, False
        return {"clock": (1_800_000_000.0, "s")}

    def sync(self) -> bool:
        if self.refused:
            raise OSError(1, "Operation not permitted")
        return True


class SimulatedRig(Rig):
    main = "simulated"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.live = folder / "state"
        self.faults = {
            "garbled": lambda: write(self.live, "sunny"),
            "empty": lambda: write(self.live, ""),
            "a folder": self.a_folder,
            "played": lambda: write(self.live, "unknown"),
        }

    def open(self) -> Source:
        return Simulated(SimulatedConfig(), live=self.live)

    def good(self) -> Values:
        if self.live.is_dir():
            self.live.rmdir()
        write(self.live, "normal\n")
        return {"simulated": (1.0, "")}

    def a_folder(self) -> None:
        self.live.unlink()
        self.live.mkdir()


class PlainRig(Rig):
    main = "supply"

    def open(self) -> Source:
        return Plain(PlainConfig())

    def good(self) -> Values:
        return {"supply": (1.0, "")}


RIGS: dict[str, type[Rig]] = {
    "power_supply": PowerSupplyRig,
    "psutil_battery": PsutilRig,
    "undervoltage by hwmon": HwmonUndervoltageRig,
    "undervoltage by get_throttled": ThrottledFileRig,
    "undervoltage by vcgencmd": VcgencmdRig,
    "pin": PinRig,
    "shunt": ShuntRig,
    "nut": NutRig,
    "vedirect": VeDirectRig,
    "temperature": TemperatureRig,
    "disk": DiskRig,
    "clock": ClockRig,
    "simulated": SimulatedRig,
    "plain": PlainRig,
}


@pytest.fixture(params=RIGS)
def rig(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    """Each kind of source in turn."""
    if request.param == "psutil_battery":
        monkeypatch.setattr("psutil._pslinux.POWER_SUPPLY_PATH", str(tmp_path))
    made = RIGS[request.param](tmp_path)
    made.source = made.open()
    yield made
    made.source.close()
    made.close()


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """A state root with its run folder."""
    (tmp_path / "run").mkdir()
    return Layout(tmp_path, tmp_path / "run")
