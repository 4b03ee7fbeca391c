"""A control group of its own for a container, without a systemd on this machine to make one."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path

_ROOT = Path("/sys/fs/cgroup")


class Group:
    """Two containers in one group share those of their units too: what stops a service of the one ends the other's."""

    def __init__(self, name: str) -> None:
        self._folders = [folder / name for folder in _here()]

    def enter(self) -> list[str]:
        """Make it; what to put before a command that is to run in it."""
        for folder in self._folders:
            folder.mkdir(exist_ok=True)
        files = [str(folder / "cgroup.procs") for folder in self._folders]
        return ["sh", "-c", f'for file in {" ".join(files)}; do echo $$ >"$file"; done; exec "$@"', "sh"]

    def remove(self) -> None:
        """Remove it once it is empty; a process that was killed leaves it a little later."""
        deadline = time.monotonic() + 10
        while any(folder.exists() for folder in self._folders) and time.monotonic() < deadline:
            for folder in self._folders:
                for inner in sorted(folder.rglob("*/"), reverse=True):
                    with suppress(OSError):
                        inner.rmdir()
                with suppress(OSError):
                    folder.rmdir()
            time.sleep(0.05)


def _here() -> list[Path]:
    """The groups that this process is in and systemd goes by: of cgroup 2, and of its own hierarchy beside cgroup 1."""
    found = []
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, kind, path = line.split(":", 2)
        mount = {"": _ROOT / "unified", "name=systemd": _ROOT / "systemd"}.get(kind)
        if mount is not None:
            found.append((mount if mount.is_dir() else _ROOT) / path.lstrip("/"))
    return found
