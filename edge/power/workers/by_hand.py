"""Numbers of workers that a person set for a time. A small durable file keeps them over restarts and power cuts."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

import msgspec

from edge.core import durable, stored
from edge.core.clock import left_s
from edge.core.errors import StorageError
from edge.core.host import boot_id


class ByHand(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A number of processes for one entry, for `for_s` seconds. The board's limits still apply."""

    count: int
    for_s: float
    wall: float  # when it was set, by the wall clock
    monotonic: float  # the same time by the monotonic clock of that boot
    boot_id: str

    @property
    def left_s(self) -> float:
        """The seconds that are left; 0 or negative once the time is over."""
        return left_s(self.for_s, wall=self.wall, monotonic=self.monotonic, boot=self.boot_id)


def current(path: Path) -> Mapping[str, ByHand]:
    """Return the numbers in force, by entry. If the file cannot be read, there are none and the rule decides."""
    return {name: each for name, each in _read(path).items() if each.left_s > 0}


def put(path: Path, entry: str, count: int, *, for_s: float) -> None:
    """Set the number of processes of an entry from now on; it is durable on return. Raises StorageError."""
    each = ByHand(count, for_s, time.time(), time.monotonic(), boot_id())
    _write(path, {**current(path), entry: each})


def take_away(path: Path, entry: str) -> bool:
    """Let the rule decide about an entry again; this is durable on return.

    Returns False if no number was set. Raises StorageError.
    """
    found = dict(current(path))
    if found.pop(entry, None) is None:
        return False
    _write(path, found)
    return True


def forget(path: Path) -> None:
    """Remove the numbers whose time is over. Raises StorageError.

    If they stayed, they would be in force again in a later boot whose clock is in the past.
    """
    found = current(path)
    if len(found) < len(_read(path)):
        _write(path, found)


def _read(path: Path) -> dict[str, ByHand]:
    try:
        return stored.read(path, dict[str, ByHand])
    except (OSError, stored.BadContent):
        return {}


def _write(path: Path, found: Mapping[str, ByHand]) -> None:
    try:
        durable.make_folder(path.parent)
        durable.replace(path, msgspec.json.encode(found))
    except OSError as err:
        raise StorageError(f"cannot write {path}", err) from err
