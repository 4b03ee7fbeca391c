"""Checks of the machine: versions, clock, disk, memory limits and the sandbox for programs."""

from __future__ import annotations

import os
import platform
import sqlite3
import time
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from edge import __version__
from edge.cli.board.checks.finding import Finding, fail, ok, warn
from edge.config import Config
from edge.core.clock import plausible, synchronised
from edge.core.host import memory_limits_hold
from edge.core.mounts import file_system, volatile
from edge.core.text import size

_DEVICE = ("celery", "kombu", "aiohttp", "psutil")
_FAIL_BYTES, _WARN_BYTES = 64 << 20, 512 << 20
_NO_LINKS = {"vfat", "exfat", "msdos", "ntfs", "ntfs3", "fuseblk"}
_VOLATILE = {"tmpfs", "ramfs"}


def versions() -> Iterator[Finding]:
    """Report the versions of the installed libraries. The check fails if the device extra is missing."""
    found, missing = [], []
    for name in _DEVICE:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            missing.append(name)
    here = f"edge {__version__}, Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}"
    if missing:
        text = f"{here}; missing: {', '.join(missing)}"
        yield fail("versions", text, "pip install 'edge-worker[device]'")
    else:
        yield ok("versions", ", ".join([here, *found]))


def clock(now: float | None = None) -> Iterator[Finding]:
    """Check that the time is plausible and synchronised. A wrong time loses no job, but times and ages are wrong."""
    now = time.time() if now is None else now
    shown = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(now))
    if not plausible(now):
        advice = "set it (timedatectl set-time), and fit a clock with a battery if the board is often without network"
        yield warn("clock", f"{shown} cannot be right", advice)
    elif not synchronised():
        advice = "timedatectl set-ntp true; without network, a real-time clock keeps the time over a power cut"
        yield warn("clock", f"{shown}, not synchronised", advice)
    else:
        yield ok("clock", f"{shown}, synchronised")


def commands(config: Config) -> Iterator[Finding]:
    """Check that this machine can run the programs that the configuration allows."""
    from edge.worker.command.here import missing  # only loaded if there are commands

    lacking = list(missing(config))
    for what, cure in lacking:
        yield fail("commands", what, cure)
    if not lacking:
        yield ok("commands", f"{len(config.commands) + config.allow_any} programs can be run in a sandbox")


def disk(root: Path) -> Iterator[Finding]:
    """Check the free space and the type of the file system that holds the state root."""
    place = root
    while not place.exists() and place != place.parent:
        place = place.parent
    try:
        disk = os.statvfs(place)
    except OSError as err:
        yield fail("disk", f"{place}: {err.strerror}", "look at it with: df and dmesg")
        return
    kind = file_system(place)
    free = disk.f_bavail * disk.f_frsize
    share = free / max(1, disk.f_blocks * disk.f_frsize)
    text = f"{size(free)} free ({share:.0%}) of {place}" + (f", {kind}" if kind else "")
    if disk.f_flag & os.ST_RDONLY:
        advice = "a card that turned read-only is worn out, or lost its power: dmesg shows the reason"
        yield fail("disk", f"{text}, read-only", advice)
    elif kind in _NO_LINKS:
        yield fail("disk", f"{text}: cannot hold results, which need hard links", "put `root` on ext4")
    elif free < _FAIL_BYTES:
        yield fail("disk", text, "remove something; `edge rm` and a smaller retention.keep_bytes free results")
    elif disk.f_files and not disk.f_favail:
        yield fail("disk", f"{text}, but no inode is free", "remove files; each result needs one inode")
    elif free < _WARN_BYTES:
        yield warn("disk", text, "remove something before results can no longer be written")
    elif kind in _VOLATILE:
        yield warn("disk", f"{text}: a power cut loses all of it", "put `root` on a card or disk")
    elif why := volatile(place):
        advice = "switch the overlay file system off (sudo raspi-config, Performance Options), or put `root` on a disk"
        yield warn("disk", f"{text}: {why}: a power cut loses all of it", advice)
    else:
        yield ok("disk", text)


def memory(holds: Callable[[], bool | None] = memory_limits_hold) -> Iterator[Finding]:
    """Check that the memory limits of the systemd units hold. Yields nothing if that cannot be found out.

    Without the limits, a job that uses up the memory can make the kernel kill other processes too.
    """
    held = holds()
    if held:
        yield ok("memory limits", "enforced by the kernel")
    elif held is False:
        text = "do not hold: the kernel's memory control group is off; a job that uses up the memory may end others too"
        advice = "put cgroup_enable=memory into /boot/firmware/cmdline.txt (`edge deploy` does so), and reboot"
        yield warn("memory limits", text, advice)
