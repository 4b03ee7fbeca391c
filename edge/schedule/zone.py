"""Finds time zones by their IANA name, and the zone of this machine.

The rules come from the system's tzdata. Debian 13 has older names such as `US/Eastern` in a separate package, and a
small image may have no rules at all. In these cases the rules come from the Python package `tzdata`, which is one of
our dependencies.
"""

from __future__ import annotations

import os
import re
import zoneinfo
from contextlib import suppress
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from edge.core.errors import UsageError

_NAME = re.compile(r"[A-Za-z0-9_+-]{1,64}(/[A-Za-z0-9_+-]{1,64}){0,3}", re.ASCII)
#: Folders with copies of all zones. The copies in `right` count leap seconds, which the clock of a board does not.
_COPIES = ("posix/", "right/")
#: A file that each package of rules has, and that changes with them.
RULES_FILE = "tzdata.zi"
_LOCALTIME, _TIMEZONE = Path("/etc/localtime"), Path("/etc/timezone")


def zone(name: str) -> ZoneInfo:
    """Return the zone with this IANA name. Raises UsageError if there is none."""
    if _NAME.fullmatch(name) and not name.startswith(_COPIES):
        try:
            return ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: a folder such as `Europe`
            pass
    raise UsageError(
        f"timezone {name[:80]!r}: expected the name of a zone in the IANA database, such as Europe/Berlin or UTC"
    )


def board_zone(localtime: Path = _LOCALTIME, timezone: Path = _TIMEZONE) -> str:
    """Return the name of the zone of this machine: from `TZ`, `/etc/localtime` or `/etc/timezone`, else `UTC`."""
    names = [os.environ.get("TZ", "").removeprefix(":")]
    target = os.path.realpath(localtime)
    names += [target.rpartition("/zoneinfo/")[2]] if "/zoneinfo/" in target else []
    with suppress(OSError, UnicodeDecodeError):
        names.append(timezone.read_text().strip())
    for name in names:
        try:
            return zone(name.removeprefix("posix/")).key
        except UsageError:
            continue
    return "UTC"


def rules_folder() -> Path | None:
    """Return the folder of the system's rules, or None if the system has none."""
    return next((folder for folder in map(Path, zoneinfo.TZPATH) if (folder / RULES_FILE).exists()), None)


def forget() -> None:
    """Read the rules of each zone again when they are needed next. Call it when the rules have changed."""
    ZoneInfo.clear_cache()


def tz_rules_version() -> str:
    """Return a text that changes when the rules of the zones change. The next times of a schedule may then change."""
    if (folder := rules_folder()) is not None:
        with suppress(OSError):  # removed meanwhile
            found = (folder / RULES_FILE).stat()
            return f"{found.st_size} {found.st_mtime_ns}"
    from importlib.metadata import PackageNotFoundError, version  # imported only if the system has no rules

    try:
        return f"tzdata {version('tzdata')}"
    except PackageNotFoundError:
        return "none"
