"""Returns the watts and seconds that a sleep costs.

The configuration comes first. Without it, the boot time is the measured mean, and the idle watts are those of
`edge power calibrate`. The defaults fit a board without a screen.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from edge.config import Config
from edge.core import durable, stored
from edge.model import LastSleep
from edge.power.energy import calibration

_BOOT_S = 90.0
_IDLE_WATTS = 1.2
#: Seconds of boot loader and memory test, which the kernel's clock does not count.
_FIRMWARE_S = 10.0
#: Longest time of a boot that is believed; `power.sleep.boot_s` has the same limit.
_LONGEST_BOOT_S = 3600.0


class Costs(msgspec.Struct, frozen=True):
    """Costs of a sleep in watts and seconds."""

    boot_s: float = _BOOT_S
    boot_watts: float = 3.0
    off_watts: float = 0.05
    idle_watts: float = _IDLE_WATTS

    @property
    def least_s(self) -> float | None:
        """Shortest sleep that saves energy, in seconds from switch-off until the board is ready again.

        None if a sleep never saves any.
        """
        gain = self.idle_watts - self.off_watts
        if gain <= 0:
            return None
        return max(self.boot_s, (self.boot_watts - self.off_watts) * self.boot_s / gain)

    def saved_j(self, ready_s: float) -> float:
        """Return the joules that a sleep saves if the board is ready again `ready_s` seconds from now."""
        asleep_s = max(0.0, ready_s - self.boot_s)
        return self.idle_watts * ready_s - self.off_watts * asleep_s - self.boot_watts * (ready_s - asleep_s)


def of(config: Config) -> Costs:
    """Return the costs of this board."""
    sleep, last = config.power.sleep, read(config.layout.last_sleep)
    idle_calibration = calibration.read(config.layout.calibration)
    learned_s = None if last is None else last.boot_s
    idle = _IDLE_WATTS
    if idle_calibration is not None and idle_calibration.idle_watts > 0:
        idle = idle_calibration.idle_watts
    return Costs(
        sleep.boot_s or learned_s or _BOOT_S,
        sleep.boot_watts,
        sleep.off_watts,
        idle if sleep.idle_watts is None else sleep.idle_watts,
    )


def learned(before: float | None, took_s: float) -> float:
    """Return the new mean boot time in seconds.

    Args:
        before: the mean before, or None if no boot was measured yet.
        took_s: duration of the latest boot by the kernel's clock.
    """
    took_s += _FIRMWARE_S
    return round(took_s if before is None else 0.7 * before + 0.3 * took_s, 1)


def read(path: Path) -> LastSleep | None:
    """Return the record of the last sleep, or None if the file is missing or damaged.

    A boot time that cannot be true is left out. The alarm would be set too early or too late by it.
    """
    try:
        last = stored.read(path, LastSleep)
    except (OSError, stored.BadContent):
        return None
    if last.boot_s is not None and not 0 < last.boot_s <= _LONGEST_BOOT_S:
        return msgspec.structs.replace(last, boot_s=None)
    return last


def write(path: Path, last: LastSleep) -> None:
    """Write the record of the last sleep; it is durable on return. Raises OSError."""
    durable.make_folder(path.parent)
    durable.replace(path, msgspec.json.encode(last))
