"""`power.json`: the governor writes what it decided, everyone else reads it through the rules of staleness."""

from __future__ import annotations

import time
from pathlib import Path

import msgspec

from edge import durable
from edge.host import boot_id, process_alive
from edge.model import PowerState, PowerStatus

_decode = msgspec.json.Decoder(PowerStatus).decode
_encode = msgspec.json.Encoder().encode


def write(path: Path, status: PowerStatus) -> None:
    """Put `status` at `path` atomically; the folder must exist."""
    durable.replace_volatile(path, _encode(status))


def read(path: Path) -> PowerStatus:
    """What the governor says now, or `unknown` with the reason why its word does not count.

    Its word counts while it lives, in this boot, and for `valid_s` after it was written. Age is taken
    from the monotonic clock, which all processes share, so a wall clock that jumps changes nothing.
    """
    try:
        status = _decode(path.read_bytes())
    except FileNotFoundError:
        return _unknown("no-governor", "the governor has not spoken yet", "`edge power` runs")
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as err:
        return _unknown("unreadable", f"{path} cannot be read: {err}", "the governor writes it again")
    if status.boot_id != boot_id():
        return _unknown("other-boot", "the governor has not spoken since this boot", "`edge power` runs")
    if status.state is not PowerState.UNKNOWN and not process_alive(status.pid):
        return _unknown("governor-died", f"the governor (process {status.pid}) is gone", "`edge power` runs again")
    age_s = time.monotonic() - status.monotonic
    if status.valid_s and age_s > status.valid_s:
        reason = f"the governor is silent for {age_s:.0f} s, its word counts for {status.valid_s:.0f} s"
        return _unknown("governor-silent", reason, "the governor answers again")
    return status


def _unknown(code: str, reason: str, until: str) -> PowerStatus:
    return PowerStatus(PowerState.UNKNOWN, code, reason, until=until, boot_id=boot_id())
