"""What processes cost, read from /proc: CPU, bytes to the disk, wake-ups, memory."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil


@dataclass(frozen=True)
class Cost:
    """Counters of one process since its start, or the difference of two such readings."""

    cpu_s: float
    written_bytes: int  # as the kernel charges them to the process; the file system's journal is not in it
    wakeups: int

    def __sub__(self, other: Cost) -> Cost:
        return Cost(self.cpu_s - other.cpu_s, self.written_bytes - other.written_bytes, self.wakeups - other.wakeups)

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.cpu_s + other.cpu_s, self.written_bytes + other.written_bytes, self.wakeups + other.wakeups)


NOTHING = Cost(0.0, 0, 0)


def family(pid: int) -> list[psutil.Process]:
    """A process and all its descendants."""
    root = psutil.Process(pid)
    return [root, *root.children(recursive=True)]


def cost(pids: list[int]) -> Cost:
    """Sum over `pids` with their descendants."""
    total = NOTHING
    for process in (each for pid in pids for each in family(pid)):
        times = process.cpu_times()
        io = dict(line.split(": ") for line in Path(f"/proc/{process.pid}/io").read_text().splitlines())
        total += Cost(times.user + times.system, int(io["write_bytes"]), _wakeups(process.pid))
    return total


def pss_bytes(pid: int) -> int:
    """Proportional memory of a process with its descendants: shared pages are divided among their users."""
    return sum(_pss(each.pid) for each in family(pid))


def idle(parts: Mapping[str, int], *, seconds: float) -> dict[str, dict[str, float]]:
    """Wake-ups a second and memory of each named process while nobody asks anything of it."""
    before = {name: cost([pid]) for name, pid in parts.items()}
    time.sleep(seconds)  # the time is what is measured
    spent = {name: cost([pid]) - before[name] for name, pid in parts.items()}
    return {
        name: {
            "wakeups_per_s": round(spent[name].wakeups / seconds, 2),
            "cpu_percent": round(spent[name].cpu_s / seconds * 100, 3),
            "written_bytes_per_min": round(spent[name].written_bytes / seconds * 60),
            "pss_mib": round(pss_bytes(pid) / (1 << 20), 1),
        }
        for name, pid in parts.items()
    }


def _wakeups(pid: int) -> int:
    """Times its threads went to sleep by themselves, each a wake-up later."""
    count = 0
    for status in Path(f"/proc/{pid}/task").glob("*/status"):
        for line in status.read_text().splitlines():
            if line.startswith("voluntary_ctxt_switches"):
                count += int(line.split()[1])
    return count


def _pss(pid: int) -> int:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0
