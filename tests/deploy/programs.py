"""The programs that the virtual machine's owner allows, and the cgroups in which the board runs them."""

from __future__ import annotations

from typing import Any

from tests.deploy.emulated import Emulated

_UNIT = "/sys/fs/cgroup/system.slice/edge-worker.service"
#: Touches the file `beat` repeatedly, from a daemon outside of its session and group, until a file `go` exists.
_BEATS = (
    "cd $EDGE_CHECKPOINT; (setsid sh -c 'trap \"\" TERM HUP; while :; do touch beat; sleep 0.05; done'"
    " >/dev/null 2>&1 &); echo begun; while [ ! -e go ]; do sleep 0.05; done; echo $EDGE_ATTEMPT"
)
_EATS = "import os\nheld = []\nwhile True: held.append(os.urandom(1 << 20))"
_BUSY = "import time\nwhile time.process_time() < {seconds}: pass"
#: Two processes at the same time, each with 40 MB and half a second of CPU time, and 8 MB for the disk.
_FAMILY = (
    "import os, time\n"
    "other = os.fork()\n"
    "held = os.urandom(40 << 20)\n"
    "while time.process_time() < 0.5: pass\n"
    "if other:\n"
    "    file = os.open('out.bin', os.O_WRONLY | os.O_CREAT)\n"
    "    os.write(file, held[:8 << 20]), os.fsync(file)\n"
    "    os.waitpid(other, 0)\n"
)
_LIMITED = {"memory_mb": 64, "cpu_percent": 50, "processes": 32, "network": False}
COMMANDS: list[dict[str, Any]] = [
    {"name": "holds", "run": ["sh", "-c", _BEATS], **_LIMITED},
    {"name": "open-holds", "run": ["sh", "-c", _BEATS], "memory_mb": 64, "sandbox": False, "network": True},
    {"name": "eats", "run": ["python3", "-c", _EATS], "memory_mb": 64},
    {"name": "child-eats", "run": ["sh", "-c", 'python3 -c "$0"; exit 0', _EATS], "memory_mb": 64},
    {"name": "spins", "run": ["python3", "-c", _BUSY.format(seconds=1)], "cpu_percent": 25},
    {"name": "family", "run": ["python3", "-c", _FAMILY], "memory_mb": 256, "outputs": ["out.bin"]},
    {"name": "weighed", "run": ["sh", "-c", _BEATS], "io_weight": 50},
    {"name": "connects", "run": ["python3", "-c", "import socket; socket.create_connection(('10.0.2.2', 22), 5)"]},
    {"name": "nothing", "run": ["true"]},
    {"name": "limited-nothing", "run": ["true"], "memory_mb": 64},
]


def groups(board: Emulated) -> list[str]:
    """Return the names of the cgroups of programs that there are now."""
    return board.sh(f"cd {_UNIT}; ls -d edge-main.* 2>/dev/null || true").split()


def group_of(board: Emulated) -> str:
    """Return the folder of the one cgroup of a program, as soon as there is one."""
    board.until(lambda: len(groups(board)) == 1, 280)
    return f"{_UNIT}/{groups(board)[0]}"


def read(board: Emulated, group: str, name: str) -> str:
    """Return the content of a file of a cgroup."""
    return board.sh(f"cat {group}/{name}")
