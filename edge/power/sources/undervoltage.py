"""Reads the board's own detector of undervoltage, in one of three ways."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from edge.config.about import about
from edge.config.power import PowerConfig
from edge.core.layout import Layout
from edge.power.inputs import sysfs
from edge.power.inputs.command import Command
from edge.power.inputs.quantity import Quantity, undervoltage
from edge.power.inputs.reading import Reading, Unreadable, Verdict, known, unknown
from edge.power.inputs.source import FoundSource, PowerSourceConfig

_RPI_VOLT = re.compile("rpi_volt")
_HEX = re.compile(r"(?:throttled=)?(?:0x)?([0-9a-fA-F]{1,8})")
_NOW, _CAPPED, _THROTTLED, _SOFT_LIMIT = 1, 2, 4, 8
_NO_DETECTOR = "Zero boards and some Compute Modules have no detector"


class UndervoltageConfig(PowerSourceConfig, frozen=True, tag="undervoltage"):
    """The board's own detector of a supply under about 4.63 V."""

    probe_rank: ClassVar[int] = 20

    via: Annotated[Literal["hwmon", "get_throttled", "vcgencmd"], about("how the detector is read")] = "hwmon"
    hwmon_root: Annotated[Path, about("for hwmon: folder in which the kernel shows sensors")] = Path("/sys/class/hwmon")
    get_throttled: Annotated[Path, about("for get_throttled: file with the flags of the firmware")] = Path(
        "/sys/devices/platform/soc/soc:firmware/get_throttled"
    )
    vcgencmd: Annotated[str, about("for vcgencmd: the program, a name or a path")] = "vcgencmd"

    def quantities(self, power: PowerConfig) -> tuple[Quantity, ...]:
        """Return the quantity `undervoltage`, and `throttled`: the four bits of the firmware for the current state."""
        return undervoltage(power), Quantity(what="throttled")

    def open(self, layout: Layout, notify: Callable[[], None]) -> Undervoltage:
        """Open the source."""
        return Undervoltage(self)

    @classmethod
    def probe(cls, root: Path) -> Iterator[FoundSource]:
        """Yield the best of the three ways that this board has, or a note that it has none."""
        hwmon = root / "sys/class/hwmon"
        throttled = root / "sys/devices/platform/soc/soc:firmware/get_throttled"
        try:
            sysfs.hwmon(hwmon, _RPI_VOLT)
            yield FoundSource(cls(hwmon_root=hwmon))
        except Unreadable:
            if throttled.exists():
                yield FoundSource(cls(via="get_throttled", get_throttled=throttled))
            elif program := shutil.which("vcgencmd"):
                yield FoundSource(cls(via="vcgencmd", vcgencmd=program))
            else:
                yield FoundSource(None, note=f"no undervoltage detector: {_NO_DETECTOR.replace('no detector', 'none')}")


class Undervoltage:
    """Reads `undervoltage` (1: the supply is under about 4.63 V now).

    With `get_throttled` or `vcgencmd` it also reads `throttled`, the four bits for the current state. Zero boards and
    some Compute Modules have no detector. Their reading is unknown, and not good.
    """

    def __init__(self, record: UndervoltageConfig) -> None:
        self.name, self._record = record.label, record
        self._command = Command([record.vcgencmd, "get_throttled"])

    def read(self, now: float) -> tuple[Reading, ...]:
        """Return the current state of the detector. Its bits for the time since the boot are not used."""
        via = self._record.via
        try:
            if via == "hwmon":
                return (self._reading(self._alarm()),)
            text = sysfs.text(self._record.get_throttled) if via == "get_throttled" else self._command.ask(now)
            if not (match := _HEX.fullmatch(text)):
                raise Unreadable(f"{via}: garbled ({text[:40]!r})")
        except Unreadable as err:
            return (unknown(self.name, "undervoltage", err),)
        bits = int(match[1], 16)
        return self._reading(bits & _NOW), known(self.name, "throttled", bits & 0xF, reason=_words(bits))

    def close(self) -> None:
        """Kill a vcgencmd that still runs."""
        self._command.close()

    def _alarm(self) -> int:
        try:
            chip = sysfs.hwmon(self._record.hwmon_root, _RPI_VOLT)
        except Unreadable as err:
            raise Unreadable(f"{err}; {_NO_DETECTOR}") from err
        return sysfs.integer(chip / "in0_lcrit_alarm", 0, 1)

    def _reading(self, alarm: int) -> Reading:
        if alarm:
            return known(self.name, "undervoltage", 1.0, verdict=Verdict.LOW, reason="supply under about 4.63 V")
        return known(self.name, "undervoltage", 0.0)


def _words(bits: int) -> str:
    names = {_NOW: "undervoltage", _CAPPED: "frequency capped", _THROTTLED: "throttled", _SOFT_LIMIT: "soft limit"}
    return ", ".join(name for bit, name in names.items() if bits & bit)
