"""The board's own detector of a sagging supply, by the one way that is configured."""

from __future__ import annotations

import re
from pathlib import Path

from edge.power.sources import sysfs
from edge.power.sources.command import Command
from edge.power.sources.reading import Reading, Unreadable, Verdict, known, unknown

_RPI_VOLT = re.compile("rpi_volt")
_HEX = re.compile(r"(?:throttled=)?(?:0x)?([0-9a-fA-F]{1,8})")
_NOW, _CAPPED, _THROTTLED, _SOFT_LIMIT = 1, 2, 4, 8


class Undervoltage:
    """Reads `undervoltage` (1: now under about 4.63 V); by get_throttled also `throttled` (its four bits of now).

    Zero boards and some Compute Modules have no detector: that is unknown, not fine.
    """

    def __init__(
        self,
        name: str = "undervoltage",
        *,
        via: str = "hwmon",
        hwmon_root: Path = Path("/sys/class/hwmon"),
        get_throttled: Path = Path("/sys/devices/platform/soc/soc:firmware/get_throttled"),
        vcgencmd: str = "vcgencmd",
    ) -> None:
        self.name, self.via = name, via
        self.hwmon_root, self.get_throttled = hwmon_root, get_throttled
        self._command = Command([vcgencmd, "get_throttled"])

    def read(self, now: float) -> tuple[Reading, ...]:
        """The detector's word of now, not of since boot."""
        try:
            if self.via == "hwmon":
                return (self._verdict(self._alarm()),)
            text = sysfs.text(self.get_throttled) if self.via == "get_throttled" else self._command.ask(now)
            if not (match := _HEX.fullmatch(text)):
                raise Unreadable(f"{self.via}: garbled ({text[:40]!r})")
        except Unreadable as err:
            return (unknown(self.name, "undervoltage", err),)
        bits = int(match[1], 16)
        return self._verdict(bits & _NOW), known(self.name, "throttled", bits & 0xF, reason=_words(bits))

    def close(self) -> None:
        """Stop a vcgencmd that hangs."""
        self._command.close()

    def _alarm(self) -> int:
        try:
            chip = sysfs.hwmon(self.hwmon_root, _RPI_VOLT)
        except Unreadable as err:
            raise Unreadable(f"{err}; Zero boards and some Compute Modules have no detector") from err
        return sysfs.integer(chip / "in0_lcrit_alarm", 0, 1)

    def _verdict(self, alarm: int) -> Reading:
        if alarm:
            return known(self.name, "undervoltage", 1.0, verdict=Verdict.LOW, reason="supply under about 4.63 V")
        return known(self.name, "undervoltage", 0.0)


def _words(bits: int) -> str:
    names = {_NOW: "undervoltage", _CAPPED: "frequency capped", _THROTTLED: "throttled", _SOFT_LIMIT: "soft limit"}
    return ", ".join(name for bit, name in names.items() if bits & bit)
