"""A pause by hand: a small durable file that outlives restarts, power cuts and a clock that jumps.

`edge pause` and `edge resume` write it, so does the governor for its button, and when the time is over.
"""

from __future__ import annotations

import time
from pathlib import Path

import msgspec

from edge.core import durable
from edge.core.host import boot_id
from edge.core.text import duration


class Pause(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Nothing new starts for `for_s` seconds (None: until somebody resumes)."""

    for_s: float | None
    by: str
    wall: float  # when it was asked for, by the wall clock
    monotonic: float  # and by the clock of that boot
    boot_id: str

    def left_s(self, *, wall: float, monotonic: float, boot: str) -> float | None:
        """Seconds to go; None: no end. Within its boot by the monotonic clock, which nothing can set.

        In a later boot only the wall clock is left. One that stands before the pause was asked for (a
        board without RTC) tells nothing: the whole time counts from that boot on, as too long a pause
        does less harm than none.
        """
        if self.for_s is None:
            return None
        if boot == self.boot_id:
            return self.for_s - (monotonic - self.monotonic)
        if wall < self.wall:
            return self.for_s - monotonic
        return self.for_s - (wall - self.wall)

    def words(self, left_s: float | None) -> tuple[str, str]:
        """(reason, until) for people."""
        if left_s is None:
            return f"paused by {self.by}", "`edge resume`"
        return f"paused by {self.by}", f"`edge resume`, or in {duration(left_s)}"


def set_pause(path: Path, *, for_s: float | None = None, by: str = "hand") -> Pause:
    """Pause now; durable on return. A later pause replaces an earlier one. Raises OSError."""
    pause = Pause(for_s, by, time.time(), time.monotonic(), boot_id())
    durable.make_folder(path.parent)
    durable.replace(path, msgspec.json.encode(pause))
    return pause


def clear(path: Path) -> bool:
    """End a pause; durable on return. False when there was none. Raises OSError."""
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    durable.sync_folder(path.parent)
    return True


def current(path: Path) -> tuple[Pause, float | None] | None:
    """The pause in force and its seconds left, or None. A file that cannot be read pauses without end.

    It is there because somebody wanted a pause; what is lost is for how long.
    """
    try:
        pause = msgspec.json.decode(path.read_bytes(), type=Pause)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as err:
        return Pause(None, f"hand (for how long is lost: {err})", 0.0, 0.0, ""), None
    left_s = pause.left_s(wall=time.time(), monotonic=time.monotonic(), boot=boot_id())
    return None if left_s is not None and left_s <= 0 else (pause, left_s)
