"""The input of a source of kind `undervoltage`."""

from __future__ import annotations

import shutil
from pathlib import Path

from edge.power.inputs.source import Source
from edge.power.sources.undervoltage import Undervoltage, UndervoltageConfig
from tests.unit.power.rigs.rig import Rig, Values, program, write


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


RIGS: dict[str, type[Rig]] = {
    "undervoltage by hwmon": HwmonUndervoltageRig,
    "undervoltage by get_throttled": ThrottledFileRig,
    "undervoltage by vcgencmd": VcgencmdRig,
}
