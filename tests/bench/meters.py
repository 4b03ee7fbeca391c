"""Measures what processes cost, from /proc: CPU, bytes to the disk, wake-ups, memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

#: The errors that a process raises if it ends while it is read.
_GONE = (psutil.NoSuchProcess, ProcessLookupError, FileNotFoundError)
_SETTLED_S = 0.011  # one tick of the kernel's CPU accounts


@dataclass(frozen=True)
class Cost:
    """Counters of one process since its start, or the difference of two such readings."""

    cpu_s: float = 0.0
    written_bytes: int = 0  # bytes that the kernel charges to the process, without the file system's journal
    wakeups: int = 0

    def __sub__(self, other: Cost) -> Cost:
        return Cost(self.cpu_s - other.cpu_s, self.written_bytes - other.written_bytes, self.wakeups - other.wakeups)

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.cpu_s + other.cpu_s, self.written_bytes + other.written_bytes, self.wakeups + other.wakeups)


def family(pid: int) -> list[psutil.Process]:
    """Return a process and all its descendants, or an empty list if it has ended."""
    try:
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def cost(*pids: int) -> Cost:
    """Return the sum over `pids` and their descendants, including the CPU time of children that have ended."""
    total = Cost()
    for process in (each for pid in pids for each in family(pid)):
        total += _own(process)
    return total


def cost_by_part(pid: int, marks: Mapping[str, str]) -> dict[str, Cost]:
    """Return the costs of a process and its descendants, by part.

    Args:
        pid: The first process.
        marks: Text in a command line -> name of the part. A process without such a text belongs to the part of its
            parent, and the first process to `other`.
    """
    costs: dict[str, Cost] = {}
    for process, part, _ in _parted(pid, marks):
        costs[part] = costs.get(part, Cost()) + _own(process)
    return costs


def pids_by_part(pid: int, marks: Mapping[str, str]) -> dict[str, list[int]]:
    """Return the ids of the marked processes of each part, without the unmarked processes that they started."""
    found: dict[str, list[int]] = {}
    for process, part, marked in _parted(pid, marks):
        if marked:
            found.setdefault(part, []).append(process.pid)
    return found


def settled(read: Callable[[], float], *, every_s: float = 0.1, at_most_s: float = 1.5) -> None:
    """Return once the CPU seconds that `read` returns stop growing, when the work after the last job is done."""
    until = time.monotonic() + at_most_s
    last = read()
    while time.monotonic() < until:
        time.sleep(every_s)
        now = read()
        if now - last < _SETTLED_S:
            return
        last = now


def pss_bytes(*pids: int) -> int:
    """Return the proportional memory (PSS) of processes and their descendants; shared pages are divided among users."""
    return sum(_pss(each.pid) for pid in pids for each in family(pid))


def idle(parts: Mapping[str, Sequence[int]], *, seconds: float) -> dict[str, dict[str, float]]:
    """Measure for `seconds` the wake-ups, CPU, written bytes and memory of each part while it is idle."""
    before = {name: cost(*pids) for name, pids in parts.items()}
    time.sleep(seconds)  # the time is what is measured
    spent = {name: cost(*pids) - before[name] for name, pids in parts.items()}
    return {
        name: {
            "wakeups_per_s": round(spent[name].wakeups / seconds, 2),
            "cpu_percent": round(spent[name].cpu_s / seconds * 100, 3),
            "written_bytes_per_min": round(spent[name].written_bytes / seconds * 60),
            "pss_mib": round(pss_bytes(*pids) / (1 << 20), 1),
        }
        for name, pids in parts.items()
    }


def _parted(pid: int, marks: Mapping[str, str]) -> Iterator[tuple[psutil.Process, str, bool]]:
    """Yield each process of the family with its part, and True if its own command line has the mark."""
    lines: dict[int, str] = {}
    parents: dict[int, int] = {}
    found = family(pid)
    for process in found:
        with suppress(psutil.NoSuchProcess):
            lines[process.pid], parents[process.pid] = " ".join(process.cmdline()), process.ppid()

    def own(one: int) -> str:
        return next((name for mark, name in marks.items() if mark in lines[one]), "")

    def part_of(one: int) -> str:
        inherits = not own(one) and one != pid and parents[one] in lines
        return part_of(parents[one]) if inherits else own(one) or "other"

    for process in found:
        if process.pid in lines:
            yield process, part_of(process.pid), bool(own(process.pid))


def _own(process: psutil.Process) -> Cost:
    """Return the cost of this process, including the CPU time of its children that have ended."""
    try:
        times = process.cpu_times()
        io = dict(line.split(": ") for line in Path(f"/proc/{process.pid}/io").read_text().splitlines())
    except _GONE:
        return Cost()
    cpu_s = times.user + times.system + times.children_user + times.children_system
    return Cost(cpu_s, int(io["write_bytes"]), _wakeups(process.pid))


def _wakeups(pid: int) -> int:
    """Return how often the threads went to sleep by themselves; each sleep ends with a wake-up."""
    count = 0
    for status in Path(f"/proc/{pid}/task").glob("*/status"):
        with suppress(*_GONE):
            for line in status.read_text().splitlines():
                if line.startswith("voluntary_ctxt_switches"):
                    count += int(line.split()[1])
    return count


def _pss(pid: int) -> int:
    with suppress(*_GONE):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0
