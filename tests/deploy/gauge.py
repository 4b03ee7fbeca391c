"""Measures a running board by ssh: memory, wake-ups, and writes to its card."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.deploy.emulated import Emulated

UNITS = ("edge-power", "edge-gateway", "edge-worker", "rabbitmq-server")
_GROUP = "/sys/fs/cgroup/system.slice"
# A worker that has run a program with a limit is in a cgroup below that of its unit.
_PIDS = f"find {_GROUP}/$unit.service -name cgroup.procs -exec cat {{}} +"
_COUNT = f"""count() {{
  for unit in {" ".join(UNITS)}; do
    for pid in $({_PIDS}); do cat /proc/$pid/task/*/status; done |
      awk '/^voluntary_ctxt_switches/ {{ n += $2 }} END {{ print n }}'
  done
  awk '{{ print $7 }}' /sys/block/vda/stat
}}"""


def healthy(board: Emulated) -> bool:
    """Return True if every service is active, the governor reports power and the worker is connected."""
    states = board.run(f"systemctl is-active {' '.join(UNITS)}").stdout.split()
    said = board.run("sudo cat /run/edge/worker-main.json /run/edge/power.json").stdout
    working = any(f'"state":"{state}"' in said for state in ("idle", "paused", "running"))
    return states == ["active"] * len(UNITS) and working and '"unknown"' not in said


@dataclass(frozen=True)
class Memory:
    """Memory in MB as free(1) counts it, and the proportional share (PSS) of each service."""

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
    """Measure the memory now."""
    found = board.sh("free -m | awk '/^Mem:/ {print $2, $3, $7} /^Swap:/ {print $3}'").split()
    total, used, available, swapped = map(int, found)
    services = {}
    for unit in UNITS:
        rollups = f"unit={unit}; cat $({_PIDS} | sed 's|.*|/proc/&/smaps_rollup|')"
        services[unit] = int(board.sh(f"{rollups} | awk '/^Pss:/ {{ n += $2 }} END {{ print n }}'")) // 1024
    return Memory(total, used, available, swapped, services)


def pressed(board: Emulated, unit: str) -> dict[str, int]:
    """Return how often a service reached its memory limits (`high`, `max`, `oom_kill`) since it started."""
    lines = board.sh(f"cat {_GROUP}/{unit}.service/memory.events").splitlines()
    return {name: int(count) for name, count in (line.split() for line in lines) if name in ("high", "max", "oom_kill")}


@dataclass(frozen=True)
class Rest:
    """The activity of an idle board: wake-ups a second by service, and KB a minute written to the card."""

    wakeups: dict[str, float]
    written_kb: float

    def __str__(self) -> str:
        rates = ", ".join(f"{unit} {rate:.1f}" for unit, rate in self.wakeups.items())
        return f"wake-ups a second: {rates}; {self.written_kb:.0f} KB a minute written to the card"


def rest(board: Emulated, seconds: int = 60) -> Rest:
    """Measure an idle board; all is read in one login, so the work of the login does not count for the services."""
    numbers = [int(word) for word in board.sh(f"{_COUNT}\ncount; sleep {seconds}; count").split()]
    before, after = numbers[: len(UNITS) + 1], numbers[len(UNITS) + 1 :]
    *switches, sectors = (late - early for early, late in zip(before, after, strict=True))
    wakeups = {unit: count / seconds for unit, count in zip(UNITS, switches, strict=True)}
    return Rest(wakeups, sectors * 512 / 1024 * 60 / seconds)


def journal(board: Emulated) -> tuple[int, int]:
    """Return the KB of the journal in memory, and the number of its open files on the card; old files do not count."""
    script = "du -sk /run/log/journal; ls -l /proc/$(pgrep -o systemd-journal)/fd | grep -c /var/log/journal || true"
    *size, open_files = board.sh(script).split()
    return int(size[0]), int(open_files)


def seconds_of(board: Emulated, command: str) -> float:
    """Return the seconds that a command takes on the board when its files are cached."""
    timed = f"TIMEFORMAT=%R; {command} >/dev/null; time {command} >/dev/null"
    return float(board.run(f'bash -c "{timed}"').stderr.split()[-1])


def card_mb(board: Emulated, path: Path = Path("/")) -> int:
    """Return the MB used on the file system of `path`."""
    return int(board.sh(f"df --output=used --block-size=1M {path} | tail -n 1"))
