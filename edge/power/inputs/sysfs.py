"""Reads numbers and text from the kernel's files. Finds hwmon chips by name, because their folders' numbers change."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from edge.power.inputs.reading import Unreadable

_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")
_LONGEST = 4096


def text(path: Path) -> str:
    """Return the stripped text of a small file. Never blocks, not even on a FIFO or a device.

    Raises:
        Unreadable: the file cannot be read or is not ASCII text; the error has the path and the reason.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            data = os.read(fd, _LONGEST)
        finally:
            os.close(fd)
    except OSError as err:  # drivers fail with many codes: ENODEV, EIO, ENODATA, ETIMEDOUT
        raise Unreadable(f"{path}: {err.strerror or err}") from err
    try:
        return data.decode("ascii").strip()
    except UnicodeDecodeError as err:
        raise Unreadable(f"{path}: garbled ({data[:20]!r})") from err


def integer(path: Path, low: int, high: int) -> int:
    """Return the integer in a file. Raises Unreadable if the text is not an integer from `low` to `high`."""
    found = text(path)
    if not _INTEGER.fullmatch(found):
        raise Unreadable(f"{path}: {'empty' if not found else f'garbled ({found[:20]!r})'}")
    if not low <= (value := int(found)) <= high:
        raise Unreadable(f"{path}: absurd ({value}, plausible is {low} to {high})")
    return value


def folders(root: Path) -> Iterator[Path]:
    """Yield the devices of a class folder, sorted by name. Yields nothing if the folder cannot be read."""
    try:
        yield from sorted(root.iterdir())
    except OSError:
        return


def hwmon(root: Path, names: re.Pattern[str], *, device: str | None = None) -> Path:
    """Return the folder of the first hwmon chip that matches.

    Args:
        root: the folder of all hwmon chips.
        names: the names that match.
        device: the bus address of the chip, such as 1-0041; None for any address.

    Raises:
        Unreadable: there is no such chip.
    """
    for folder in folders(root):
        try:
            if names.fullmatch(text(folder / "name")) and device in {None, address(folder)}:
                return folder
        except Unreadable:
            continue
    raise Unreadable(f"no chip {names.pattern} {f'at {device} ' if device else ''}under {root}")


def address(folder: Path) -> str | None:
    """Return the bus address of the device of a class folder, such as 1-0041, or None if there is none.

    Chips of the same kind have the same name, and differ by their address.
    """
    try:
        return (folder / "device").resolve(strict=True).name
    except (OSError, RuntimeError):
        return None
