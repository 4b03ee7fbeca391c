"""Counts that a person set: a small durable file that outlives restarts and power cuts, each ended by time."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

import msgspec

from edge.core import durable
from edge.core.clock import left_s
from edge.core.errors import StorageError
from edge.core.host import boot_id


class ByHand(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """So many processes of an entry for `for_s` seconds, as far as the board allows."""

    count: int
    for_s: float
    wall: float  # when it was asked for, by the wall clock
    monotonic: float  # and by the clock of that boot
    boot_id: str

    @property
    def left_s(self) -> float:
        """Seconds to go; not above 0 when it is over."""
        return left_s(self.for_s, wall=self.wall, monotonic=self.monotonic, boot=self.boot_id)


def current(path: Path) -> Mapping[str, ByHand]:
    """What is in force, by entry. A file that cannot be read sets nothing: the rule decides."""
    return {name: each for name, each in _read(path).items() if each.left_s > 0}


def put(path: Path, entry: str, count: int, *, for_s: float) -> None:
    """Set a count from now on; durable on return. Raises StorageError."""
    each = ByHand(count, for_s, time.time(), time.monotonic(), boot_id())
    _write(path, {**current(path), entry: each})


def take_away(path: Path, entry: str) -> bool:
    """Leave the entry to the rule again; durable on return. False when nothing was set. Raises StorageError."""
    found = dict(current(path))
    if found.pop(entry, None) is None:
        return False
    _write(path, found)
    return True


def forget(path: Path) -> None:
    """Remove counts that are over: in a later boot, with a clock in the past, they would count. Raises StorageError."""
    found = current(path)
    if len(found) < len(_read(path)):
        _write(path, found)


def _read(path: Path) -> dict[str, ByHand]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, ByHand])
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return {}


def _write(path: Path, found: Mapping[str, ByHand]) -> None:
    try:
        durable.make_folder(path.parent)
        durable.replace(path, msgspec.json.encode(found))
    except OSError as err:
        raise StorageError(f"cannot write {path}", err) from err
