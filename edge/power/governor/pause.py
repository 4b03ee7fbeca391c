"""A pause by hand, in a small durable file. It survives restarts, power cuts and a clock that jumps.

`edge pause` writes the file and `edge resume` removes it. The governor does the same for its button and for orders of
the gateway, and it removes the file when the time of the pause is over.
"""

from __future__ import annotations

import time
from pathlib import Path

import msgspec

from edge.core import durable, stored
from edge.core.host import boot_id
from edge.core.text import duration


class Pause(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A pause of `for_s` seconds (None: until somebody resumes). During a pause no new job starts."""

    for_s: float | None
    by: str
    wall: float  # when the pause began, by the wall clock
    monotonic: float  # the same time by the monotonic clock of that boot
    boot_id: str

    def left_s(self, *, wall: float, monotonic: float, boot: str) -> float | None:
        """Return the seconds that are left of the pause, or None if it has no end.

        In the boot of the pause the monotonic clock decides, because nothing can set it. In a later boot only the wall
        clock remains. If the wall clock shows a time before the pause (a board without RTC), it is of no use. Then the
        whole time counts from the later boot on: a pause that is too long does less harm than none.

        Args:
            wall: the wall clock now.
            monotonic: the monotonic clock now.
            boot: the id of the current boot.
        """
        if self.for_s is None:
            return None
        if boot == self.boot_id:
            return self.for_s - (monotonic - self.monotonic)
        if wall < self.wall:
            return self.for_s - monotonic
        return self.for_s - (wall - self.wall)

    def words(self, left_s: float | None) -> tuple[str, str]:
        """Return (reason, until) in words for people."""
        if left_s is None:
            return f"paused by {self.by}", "`edge resume`"
        return f"paused by {self.by}", f"`edge resume`, or in {duration(left_s)}"


def set_pause(path: Path, *, for_s: float | None = None, by: str = "hand") -> Pause:
    """Begin a pause now; it is durable on return. A later pause replaces an earlier one. Raises OSError."""
    pause = Pause(for_s, by, time.time(), time.monotonic(), boot_id())
    durable.make_folder(path.parent)
    durable.replace(path, msgspec.json.encode(pause))
    return pause


def clear(path: Path) -> bool:
    """End the pause; the end is durable on return. Returns False if there was no pause. Raises OSError."""
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    durable.sync_folder(path.parent)
    return True


def current(path: Path) -> tuple[Pause, float | None] | None:
    """Return the pause in force and the seconds that are left of it (None: no end), or None if there is no pause.

    A file that cannot be read is a pause without end. It exists because somebody wanted a pause; only its length is
    lost.
    """
    try:
        pause = stored.read(path, Pause)
    except FileNotFoundError:
        return None
    except (OSError, stored.BadContent) as err:
        return Pause(None, f"hand (the length of the pause cannot be read: {err})", 0.0, 0.0, ""), None
    left_s = pause.left_s(wall=time.time(), monotonic=time.monotonic(), boot=boot_id())
    return None if left_s is not None and left_s <= 0 else (pause, left_s)
