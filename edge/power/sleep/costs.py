"""What a sleep costs and saves: configured, else learned, else a default for a headless board."""

from __future__ import annotations

from pathlib import Path

import msgspec

from edge.config import Config
from edge.core import durable
from edge.model import LastSleep
from edge.power.energy import calibration

_BOOT_S = 90.0
_IDLE_WATTS = 1.2
#: Before the kernel, whose clock times the rest: boot loader and memory test.
_FIRMWARE_S = 10.0


class Costs(msgspec.Struct, frozen=True):
    """Watts and seconds of a sleep."""

    boot_s: float = _BOOT_S
    boot_watts: float = 3.0
    off_watts: float = 0.05
    idle_watts: float = _IDLE_WATTS

    @property
    def least_s(self) -> float | None:
        """Shortest absence in seconds that saves energy, or None if a sleep never saves any."""
        gain = self.idle_watts - self.off_watts
        if gain <= 0:
            return None
        return max(self.boot_s, (self.boot_watts - self.off_watts) * self.boot_s / gain)

    def saved_j(self, ready_s: float) -> float:
        """Joules saved by a sleep after which the board is ready again in `ready_s` seconds."""
        asleep_s = max(0.0, ready_s - self.boot_s)
        return self.idle_watts * ready_s - self.off_watts * asleep_s - self.boot_watts * (ready_s - asleep_s)


def of(config: Config) -> Costs:
    """The costs of this board."""
    sleep, rest, last = config.power.sleep, calibration.read(config.layout.calibration), read(config.layout.last_sleep)
    learned_s = None if last is None else last.boot_s
    idle = rest.idle_watts if rest is not None and rest.idle_watts > 0 else _IDLE_WATTS
    return Costs(
        sleep.boot_s or learned_s or _BOOT_S,
        sleep.boot_watts,
        sleep.off_watts,
        idle if sleep.idle_watts is None else sleep.idle_watts,
    )


def learned(before: float | None, took_s: float) -> float:
    """Mean boot time in seconds after one more boot of `took_s` (kernel clock)."""
    took_s += _FIRMWARE_S
    return round(took_s if before is None else 0.7 * before + 0.3 * took_s, 1)


def read(path: Path) -> LastSleep | None:
    """Return the last sleep, or None if there is no file that can be read."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=LastSleep)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def write(path: Path, last: LastSleep) -> None:
    """Keep it; durable on return. Raises OSError."""
    durable.make_folder(path.parent)
    durable.replace(path, msgspec.json.encode(last))
