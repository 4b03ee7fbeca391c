"""`power.json`: the governor writes what it decided; everyone else reads it, and learns whether it still holds."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Iterable
from pathlib import Path

import msgspec

from edge.config.power import ThresholdConfig
from edge.core import durable
from edge.core.host import boot_id, process_alive
from edge.model import PowerState, PowerStatus

_decode = msgspec.json.Decoder(PowerStatus).decode
_encode = msgspec.json.Encoder().encode
_TICK_S = 0.1
#: A status that expires is looked at again a little after its time; and a process that died looks alive until its
#: parent took note.
_LATE_S = 0.05


def write(path: Path, status: PowerStatus) -> None:
    """Put `status` at `path`, atomically where there is room for both; the folder must exist. Raises OSError.

    A status that cannot be written takes the one before it away: that one no longer holds.
    """
    try:
        durable.replace_volatile(path, _encode(status))
    except OSError:
        path.unlink(missing_ok=True)
        durable.replace_volatile(path, _encode(status))


def pause_percent(status: PowerStatus, limits: ThresholdConfig) -> float:
    """The charge down to which work goes on: by the plan that counts now, else as configured."""
    plan = status.plan
    if plan is None or plan.floor_percent is None or time.time() >= plan.until:
        return limits.pause_percent
    return min(limits.pause_percent, plan.floor_percent)


def aged(status: PowerStatus) -> PowerStatus:
    """`status` with each reading as old as it is now, not as it was when it was written."""
    since_s = max(0.0, time.monotonic() - status.monotonic)
    readings = tuple(msgspec.structs.replace(each, age_s=round(each.age_s + since_s, 1)) for each in status.readings)
    return msgspec.structs.replace(status, readings=readings)


def read(path: Path) -> PowerStatus:
    """What the governor reports now, or `unknown` with the reason why its status does not hold.

    A status holds while its governor lives, in this boot, and for `valid_s` after it was written. Age is taken
    from the monotonic clock, which all processes share, so a wall clock that jumps changes nothing.
    """
    return _judged(_written(path))


class Reader:
    """Reads as `read` does, for a caller that asks twice a job: an unchanged file is not read again."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int, int] | None = None
        self._written = _unknown("no-governor", "the governor has not spoken yet", "`edge power` runs")

    def read(self) -> PowerStatus:
        """The governor's status, if it holds now: whether it does is judged anew at each call."""
        try:
            found = os.stat(self._path)  # noqa: PTH116 - twice a job; Path.stat costs twice as much
        except OSError:
            self._seen = None
            return read(self._path)
        seen = found.st_ino, found.st_mtime_ns, found.st_size
        if seen != self._seen:
            self._written = _written(self._path)
            # Two files within one tick of the kernel's clock may look the same: what is so new is read once more.
            self._seen = seen if time.time() - found.st_mtime > _TICK_S else None
        return _judged(self._written)


def died(pid: int) -> PowerStatus:
    """What holds once the governor's process has ended: its status ends with it."""
    return _unknown("governor-died", f"the governor (process {pid}) is gone", "`edge power` runs again")


def expires_in(status: PowerStatus) -> float | None:
    """Seconds after which to look again, since `status` is then too old to count; None where age alone ends nothing."""
    if status.state is PowerState.UNKNOWN or not status.valid_s:
        return None
    return max(status.monotonic + status.valid_s - time.monotonic(), 0.0) + _LATE_S


def wait(status: PowerStatus, fds: Iterable[int], timeout_s: float | None = None) -> set[int]:
    """Block until one of `fds` can be read, or `status` may no longer hold: it grew too old, or the governor died.

    Returns those of `fds` that can be read; none too after `timeout_s`.
    """
    poll, governor = select.poll(), None
    for fd in fds:
        poll.register(fd, select.POLLIN)
    times = [each for each in (timeout_s, expires_in(status)) if each is not None]
    if status.state is not PowerState.UNKNOWN:
        try:
            governor = os.pidfd_open(status.pid)
            poll.register(governor, select.POLLIN)
        except ProcessLookupError:  # gone since it was read
            return set()
        except OSError:
            pass  # no descriptor to be had: its age, and its next status, are left
    try:
        ready = {fd for fd, _ in poll.poll(min(times) * 1000 if times else None)}
        if governor in ready:
            time.sleep(_LATE_S)
        return ready - {governor}
    finally:
        if governor is not None:
            os.close(governor)


def _written(path: Path) -> PowerStatus:
    """What stands in the file."""
    try:
        return _decode(path.read_bytes())
    except FileNotFoundError:
        return _unknown("no-governor", "the governor has not spoken yet", "`edge power` runs")
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as err:
        return _unknown("unreadable", f"{path} cannot be read: {err}", "the governor writes it again")


def _judged(status: PowerStatus) -> PowerStatus:
    """`status` if it counts now, else why not."""
    if status.boot_id != boot_id():
        return _unknown("other-boot", "the governor has not spoken since this boot", "`edge power` runs")
    if status.state is not PowerState.UNKNOWN and not process_alive(status.pid):
        return died(status.pid)
    age_s = time.monotonic() - status.monotonic
    if status.valid_s and age_s > status.valid_s:
        reason = f"the governor is silent for {age_s:.0f} s, its word counts for {status.valid_s:.0f} s"
        return _unknown("governor-silent", reason, "the governor answers again")
    return status


def _unknown(code: str, reason: str, until: str) -> PowerStatus:
    return PowerStatus(PowerState.UNKNOWN, code, reason, until=until, boot_id=boot_id())
