"""Checks whether this board can wake by itself, and sets its wake alarm.

A board that cannot wake does not go down to sleep.
"""

from __future__ import annotations

import os
from pathlib import Path

from edge.config.power import PowerConfig

#: Largest difference between the alarm of the clock and the wanted one, in seconds. Alarm and clock are read one after
#: the other.
_OFF_S = 5.0


def obstacle(config: PowerConfig) -> str:
    """Return why the board could not wake from a sleep, or "" if no obstacle is seen. It only looks for the alarm."""
    if config.sleep.ups_returns:
        return ""
    alarm = config.critical.wakealarm
    if not alarm.exists():
        return (
            f"{alarm} does not exist: no clock of this board can wake it (set power.sleep.ups_returns if a UPS "
            "switches the power back on, or wake: light)"
        )
    return ""


def may_set(alarm: Path) -> bool:
    """Return True if this user may set the alarm."""
    return os.access(alarm, os.W_OK)


def found(alarm: Path) -> str:
    """Return the line about the alarm that `edge power probe` prints."""
    if not alarm.exists():
        return f"no alarm ({alarm}): this board cannot wake by itself; power.sleep needs wake: light, or a UPS for it"
    return f"{alarm} can wake this board: power.sleep may be used (a Pi needs POWER_OFF_ON_HALT=1 to save power)"


def set_alarm(alarm: Path, after_s: float) -> None:
    """Write the alarm, in seconds from now. Raises OSError if the write fails. Call `check_alarm` afterwards."""
    _write(alarm, "0")  # the kernel refuses a new alarm while another one is set
    _write(alarm, f"+{after_s:.0f}")


def check_alarm(alarm: Path, after_s: float) -> None:
    """Check that the alarm of the clock is set to `after_s` seconds from now. Raises OSError if it is not."""
    found = alarm.read_text().strip()
    if not found:
        raise OSError(0, "the clock did not take the alarm", str(alarm))
    if found.isdigit():  # the kernel gives the alarm as a time of that clock, in seconds since the epoch
        now = int((alarm.parent / "since_epoch").read_text())
        if abs(int(found) - now - after_s) > _OFF_S:
            raise OSError(0, f"the clock has its alarm in {int(found) - now} s, not in {after_s:.0f} s", str(alarm))


def _write(path: Path, text: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)
