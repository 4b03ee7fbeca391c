"""The files by which a limit is set in cgroup version 2, and in version 1 if a machine still has that."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from edge.config import CommandConfig

_PERIOD_US = 100_000
_MIB = 1 << 20
#: Names of files with the text to write. The first file must exist. The others are written if they exist.
Files = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Limit:
    """One key of a command that the kernel enforces by a cgroup."""

    key: str
    controller: str
    v2: Callable[[int], Files]
    v1: Callable[[int], Files]
    v1_controller: str = ""
    hint: str = ""  # what the owner must do if the controller is missing
    of_disk: bool = False  # it depends on the disk: which of the files exist, and whether they have an effect


LIMITS = (
    Limit(
        "memory_mb",
        "memory",
        lambda n: (("memory.max", str(n * _MIB)), ("memory.swap.max", "0"), ("memory.oom.group", "1")),
        lambda n: (("memory.limit_in_bytes", str(n * _MIB)), ("memory.memsw.limit_in_bytes", str(n * _MIB))),
        hint="on a Raspberry Pi add cgroup_enable=memory to /boot/firmware/cmdline.txt",
    ),
    Limit(
        "cpu_percent",
        "cpu",
        lambda n: (("cpu.max", f"{n * _PERIOD_US // 100} {_PERIOD_US}"),),
        lambda n: (("cpu.cfs_quota_us", str(n * _PERIOD_US // 100)), ("cpu.cfs_period_us", str(_PERIOD_US))),
    ),
    Limit(
        "io_weight",
        "io",
        lambda n: (("io.weight", f"default {n}"), ("io.bfq.weight", f"default {n}")),
        lambda n: (("blkio.bfq.weight", str(n)),),
        v1_controller="blkio",
        of_disk=True,
    ),
    Limit("processes", "pids", lambda n: (("pids.max", str(n)),), lambda n: (("pids.max", str(n)),)),
)


def wanted(command: CommandConfig) -> Mapping[Limit, int]:
    """Return the limits of a command and their numbers."""
    found = ((limit, getattr(command, limit.key)) for limit in LIMITS)
    return {limit: value for limit, value in found if value is not None}
