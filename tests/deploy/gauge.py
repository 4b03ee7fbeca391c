"""Reads a running board's gauges by ssh: memory, wake-ups, what it writes to its card."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.deploy.emulated import Emulated

UNITS = ("edge-power", "edge-gateway", "edge-worker", "rabbitmq-server")
_GROUP = "/sys/fs/cgroup/system.slice"
_COUNT = f"""count() {{
  for unit in {" ".join(UNITS)}; do
    for pid in $(cat {_GROUP}/$unit.service/cgroup.procs); do cat /proc/$pid/task/*/status; done |
      awk '/^voluntary_ctxt_switches/ {{ n += $2 }} END {{ print n }}'
  done
  awk '{{ print $7 }}' /sys/block/vda/stat
}}"""


@dataclass(frozen=True)
class Memory:
    """MB as free(1) counts them, and each service's proportional share."""

    total: int
    used: int
    available: int
    swapped: int
    services: dict[str, int]

    def __str__(self) -> str:
        shares = ", ".join(f"{unit} {mb}" for unit, mb in self.services.items())
        left = f"{self.available} available, {self.swapped} swapped"
        return f"{self.used} of {self.total} MB used, {left}; MB (PSS) by service: {shares}"


def memory(board: Emulated) -> Memory:
    """Who has how much now."""
    found = board.sh("free -m | awk '/^Mem:/ {print $2, $3, $7} /^Swap:/ {print $3}'").split()
    total, used, available, swapped = map(int, found)
    services = {}
    for unit in UNITS:
        rollups = f"cat $(sed 's|.*|/proc/&/smaps_rollup|' {_GROUP}/{unit}.service/cgroup.procs)"
        services[unit] = int(board.sh(f"{rollups} | awk '/^Pss:/ {{ n += $2 }} END {{ print n }}'")) // 1024
    return Memory(total, used, available, swapped, services)


def pressed(board: Emulated, unit: str) -> dict[str, int]:
    """How often a service met its limits of memory (`high`, `max`, `oom_kill`) since it started."""
    lines = board.sh(f"cat {_GROUP}/{unit}.service/memory.events").splitlines()
    return {name: int(count) for name, count in (line.split() for line in lines) if name in ("high", "max", "oom_kill")}


@dataclass(frozen=True)
class Rest:
    """What an idle board does all the same: wake-ups a second by service, and KB a minute written to the card."""

    wakeups: dict[str, float]
    written_kb: float

    def __str__(self) -> str:
        rates = ", ".join(f"{unit} {rate:.1f}" for unit, rate in self.wakeups.items())
        return f"wake-ups a second: {rates}; {self.written_kb:.0f} KB a minute written to the card"


def rest(board: Emulated, seconds: int = 60) -> Rest:
    """Watch it for a while; everything is asked by one login, whose own work is none of the services'."""
    numbers = [int(word) for word in board.sh(f"{_COUNT}\ncount; sleep {seconds}; count").split()]
    before, after = numbers[: len(UNITS) + 1], numbers[len(UNITS) + 1 :]
    *switches, sectors = (late - early for early, late in zip(before, after, strict=True))
    wakeups = {unit: count / seconds for unit, count in zip(UNITS, switches, strict=True)}
    return Rest(wakeups, sectors * 512 / 1024 * 60 / seconds)


def journal(board: Emulated) -> tuple[int, int]:
    """KB that the journal has in memory, and how many files it has open on the card; older ones may lie there."""
    script = "du -sk /run/log/journal; ls -l /proc/$(pgrep -o systemd-journal)/fd | grep -c /var/log/journal || true"
    *size, open_files = board.sh(script).split()
    return int(size[0]), int(open_files)


def seconds_of(board: Emulated, command: str) -> float:
    """How long a command takes there once its files have been read."""
    timed = f"TIMEFORMAT=%R; {command} >/dev/null; time {command} >/dev/null"
    return float(board.run(f'bash -c "{timed}"').stderr.split()[-1])


def card_mb(board: Emulated, path: Path = Path("/")) -> int:
    """MB used on the file system of `path`."""
    return int(board.sh(f"df --output=used --block-size=1M {path} | tail -n 1"))
