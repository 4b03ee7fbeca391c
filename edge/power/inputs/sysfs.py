"""Numbers out of the kernel's files, with bounds; hwmon chips found by name, as their numbers change."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from edge.power.inputs.reading import Unreadable

_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")
_LONGEST = 4096


def text(path: Path) -> str:
    """The stripped text of a small file. Raises Unreadable with path and reason; a fifo or device never blocks."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            data = os.read(fd, _LONGEST)
        finally:
            os.close(fd)
    except OSError as err:  # a driver answers ENODEV, EIO, ENODATA, ETIMEDOUT, as it likes
        raise Unreadable(f"{path}: {err.strerror or err}") from err
    try:
        return data.decode("ascii").strip()
    except UnicodeDecodeError as err:
        raise Unreadable(f"{path}: garbled ({data[:20]!r})") from err


def integer(path: Path, low: int, high: int) -> int:
    """The whole number in a file, within bounds. Raises Unreadable where it is anything else."""
    found = text(path)
    if not _INTEGER.fullmatch(found):
        raise Unreadable(f"{path}: {'empty' if not found else f'garbled ({found[:20]!r})'}")
    if not low <= (value := int(found)) <= high:
        raise Unreadable(f"{path}: absurd ({value}, plausible is {low} to {high})")
    return value


def folders(root: Path) -> Iterator[Path]:
    """The devices of a class folder by name; none where it is missing or vanishes meanwhile."""
    try:
        yield from sorted(root.iterdir())
    except OSError:
        return


def hwmon(root: Path, names: re.Pattern[str], *, device: str | None = None) -> Path:
    """The folder of the first chip whose `name` fits, and which stands at the address `device` where one is given.

    Raises:
        Unreadable: there is none.
    """
    for folder in folders(root):
        try:
            if names.fullmatch(text(folder / "name")) and device in {None, address(folder)}:
                return folder
        except Unreadable:
            continue
    raise Unreadable(f"no chip {names.pattern} {f'at {device} ' if device else ''}under {root}")


def address(folder: Path) -> str | None:
    """The bus address of the device of a class folder, such as 1-0041. It tells apart chips of one kind and name."""
    try:
        return (folder / "device").resolve(strict=True).name
    except (OSError, RuntimeError):
        return None
