"""Makes a separate control group for a container on a machine without systemd."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path

_ROOT = Path("/sys/fs/cgroup")


class Group:
    """A control group for one container. In one group, a stop of a service in one container ends that of the other."""

    def __init__(self, name: str) -> None:
        self._folders = [folder / name for folder in _here()]

    def enter(self) -> list[str]:
        """Make the group, and return the words to put before a command so that it runs in the group."""
        for folder in self._folders:
            folder.mkdir(exist_ok=True)
        files = [str(folder / "cgroup.procs") for folder in self._folders]
        return ["sh", "-c", f'for file in {" ".join(files)}; do echo $$ >"$file"; done; exec "$@"', "sh"]

    def remove(self) -> None:
        """Remove the group once it is empty; a killed process leaves it a little later."""
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
    """Return the groups of this process that systemd uses: of cgroup 2, and of its own hierarchy with cgroup 1."""
    found = []
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, kind, path = line.split(":", 2)
        mount = {"": _ROOT / "unified", "name=systemd": _ROOT / "systemd"}.get(kind)
        if mount is not None:
            found.append((mount if mount.is_dir() else _ROOT) / path.lstrip("/"))
    return found
