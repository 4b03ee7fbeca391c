"""Writes and reads `power.json`: the governor's decision. A reader also learns whether the decision is still valid."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Iterable
from pathlib import Path

import msgspec

from edge.config.power import ThresholdConfig
from edge.core import durable, stored
from edge.core.host import boot_id, process_alive
from edge.model import PowerState, PowerStatus

_encode = msgspec.json.Encoder().encode
_TICK_S = 0.1
#: A reader looks at a status again a little after it expires, so that it has surely expired. It also waits for this
#: time after the governor's process ended, because a process looks alive until its parent has collected its exit
#: status.
_LATE_S = 0.05


def write(path: Path, status: PowerStatus) -> None:
    """Write `status` to `path`, whose folder must exist. Raises OSError.

    The file is replaced atomically. If the first write fails, for example because there is no room for both files, the
    old file is removed before a second try, because it is no longer valid. So if the new status cannot be written at
    all, no status remains.
    """
    try:
        durable.replace_volatile(path, _encode(status))
    except OSError:
        path.unlink(missing_ok=True)
        durable.replace_volatile(path, _encode(status))


def pause_percent(status: PowerStatus, limits: ThresholdConfig) -> float:
    """Return the charge in percent at which work pauses: from the plan if it is still valid, else as configured."""
    plan = status.plan
    if plan is None or plan.floor_percent is None or time.time() >= plan.until:
        return limits.pause_percent
    return min(limits.pause_percent, plan.floor_percent)


def aged(status: PowerStatus) -> PowerStatus:
    """Return `status` with the age of each reading as of now. In the file it is the age at the time of writing."""
    since_s = max(0.0, time.monotonic() - status.monotonic)
    readings = tuple(msgspec.structs.replace(each, age_s=round(each.age_s + since_s, 1)) for each in status.readings)
    return msgspec.structs.replace(status, readings=readings)


def read(path: Path) -> PowerStatus:
    """Return the governor's status if it is valid now, else the state `unknown` with the reason why it is not valid.

    A status is valid while its governor runs, in this boot, and for `valid_s` after it was written (0: without this
    limit). Its age is measured with the monotonic clock, which all processes share, so a jump of the wall clock changes
    nothing.
    """
    return _judged(_written(path))


class Reader:
    """Reads the status as `read` does, but does not read an unchanged file again. Made for two reads per job."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int, int] | None = None
        self._written = _unknown("no-governor", "the governor has not written a report yet", "`edge power` runs")

    def read(self) -> PowerStatus:
        """Return what `read` returns. Each call checks anew whether the status is valid."""
        try:
            found = os.stat(self._path)  # noqa: PTH116 - twice a job; Path.stat costs twice as much
        except OSError:
            self._seen = None
            return read(self._path)
        seen = found.st_ino, found.st_mtime_ns, found.st_size
        if seen != self._seen:
            self._written = _written(self._path)
            # Two files that are written within one tick of the kernel's clock may have the same time. A file that is
            # younger than a tick is therefore read once more.
            self._seen = seen if time.time() - found.st_mtime > _TICK_S else None
        return _judged(self._written)


def died(pid: int) -> PowerStatus:
    """Return the status that is valid once the governor's process has ended: `unknown`."""
    return _unknown("governor-died", f"the governor (process {pid}) has ended", "`edge power` runs again")


def expires_in(status: PowerStatus) -> float | None:
    """Return the seconds until `status` is too old to be valid, or None if it does not expire by age."""
    if status.state is PowerState.UNKNOWN or not status.valid_s:
        return None
    return max(status.monotonic + status.valid_s - time.monotonic(), 0.0) + _LATE_S


def wait(status: PowerStatus, fds: Iterable[int], timeout_s: float | None = None) -> set[int]:
    """Block until one of `fds` can be read, or until `status` may be invalid because it expired or the governor ended.

    Returns the `fds` that can be read. The set is empty if none can be read: the status may be invalid, or `timeout_s`
    is over.
    """
    poll, governor = select.poll(), None
    for fd in fds:
        poll.register(fd, select.POLLIN)
    times = [each for each in (timeout_s, expires_in(status)) if each is not None]
    if status.state is not PowerState.UNKNOWN:
        try:
            governor = os.pidfd_open(status.pid)
            poll.register(governor, select.POLLIN)
        except ProcessLookupError:  # the governor has ended since its status was read
            return set()
        except OSError:
            pass  # no file descriptor is left: the age of the status, and the next status, still end the wait
    try:
        ready = {fd for fd, _ in poll.poll(min(times) * 1000 if times else None)}
        if governor in ready:
            time.sleep(_LATE_S)
        return ready - {governor}
    finally:
        if governor is not None:
            os.close(governor)


def _written(path: Path) -> PowerStatus:
    """Return the status in the file, or `unknown` if there is no readable one."""
    try:
        return stored.read(path, PowerStatus)
    except FileNotFoundError:
        return _unknown("no-governor", "the governor has not written a report yet", "`edge power` runs")
    except (OSError, stored.BadContent) as err:
        return _unknown("unreadable", f"{path} cannot be read: {err}", "the governor writes it again")


def _judged(status: PowerStatus) -> PowerStatus:
    """Return `status` if it is valid now, else `unknown` with the reason why it is not."""
    if status.boot_id != boot_id():
        return _unknown("other-boot", "the governor has not written a report since this boot", "`edge power` runs")
    if status.state is not PowerState.UNKNOWN and not process_alive(status.pid):
        return died(status.pid)
    age_s = time.monotonic() - status.monotonic
    if status.valid_s and age_s > status.valid_s:
        reason = (
            f"the governor has written no report for {age_s:.0f} s; the last one was valid for {status.valid_s:.0f} s"
        )
        return _unknown("governor-silent", reason, "the governor answers again")
    return status


def _unknown(code: str, reason: str, until: str) -> PowerStatus:
    return PowerStatus(PowerState.UNKNOWN, code, reason, until=until, boot_id=boot_id())
