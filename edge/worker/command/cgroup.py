"""Makes a cgroup for one run, to set limits, to freeze, to count, and to end every process in it.

The worker makes it below a cgroup that it owns. Under systemd this is the cgroup of its unit, if it is delegated
(`Delegate=yes`). Without systemd it is any cgroup that this user may write. A command with a limit that cannot be
enforced is refused.
"""

from __future__ import annotations

import errno
import os
import re
import select
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from edge.worker.command.cgroup_files import Limit
from edge.worker.command.disk_weight import CURE, why_no_weight

_V2 = "cgroup2"
#: Cgroup into which the worker moves itself and all others, because a cgroup that enables controllers for its children
#: must have no processes. Processes that are started later, such as the next worker of an `edge up`, are born in it.
_OWN = "edge-own"
#: Number of tries to empty a cgroup, whose processes may start others meanwhile.
_TRIES = 5
_END_S = 5.0
_MOUNT = re.compile(r"^\d+ \d+ \S+ (\S+) (\S+) \S+(?: \S+)* - (\S+) \S+ (\S+)$")


class NotEnforced(Exception):
    """A limit of a command cannot be enforced on this machine. The text says why."""


class Group:
    """The cgroup of one run. Belongs to the thread of the body."""

    def __init__(self, v2: Path | None, others: Iterable[Path] = ()) -> None:
        """`v2` is the folder of version 2, if there is one; `others` are folders of version 1, one a controller."""
        self._v2, self._others = v2, tuple(others)

    @property
    def folders(self) -> tuple[Path, ...]:
        """The folders of the cgroup. A process joins it by writing its id into `cgroup.procs` of each."""
        return (*((self._v2,) if self._v2 is not None else ()), *self._others)

    @property
    def can_freeze(self) -> bool:
        """True if the kernel can freeze the whole group at once."""
        return self._v2 is not None and (self._v2 / "cgroup.freeze").exists()

    def freeze(self, on: bool) -> None:
        """Freeze all processes of the group, or let them continue. Raises OSError."""
        if self._v2 is not None:
            (self._v2 / "cgroup.freeze").write_text("1" if on else "0")

    def pids(self) -> list[int]:
        """Return the ids of the processes that are in the group now."""
        for folder in self.folders[:1]:
            with suppress(OSError):
                return [int(line) for line in (folder / "cgroup.procs").read_text().split()]
        return []

    def kill(self) -> None:
        """End every process of the group, and return when none is left. Raises OSError if one is left after 5 s.

        Without version 2 it does nothing. Then `Cgroups.make(needed=True)` has refused a run without a sandbox, and a
        sandbox ends its processes itself.
        """
        if self._v2 is None:
            return
        (self._v2 / "cgroup.kill").write_text("1")
        until = time.monotonic() + _END_S
        with (self._v2 / "cgroup.events").open() as events:
            while "populated 1" in events.read():
                left_s = until - time.monotonic()
                if left_s <= 0:
                    raise OSError(f"processes of {self._v2} do not end")
                poll = select.poll()
                poll.register(events, select.POLLPRI)
                poll.poll(min(left_s, 0.5) * 1000)
                events.seek(0)

    def peak_bytes(self) -> int | None:
        """Return the peak memory of the group, or None if the kernel does not count it."""
        return self._number("memory.peak", "memory.max_usage_in_bytes")

    def cpu_s(self) -> float:
        """Return the CPU seconds of all processes that were in the group, or 0 if the kernel does not count them."""
        for folder in self.folders[:1]:
            with suppress(OSError):
                found = re.search(r"^usage_usec (\d+)$", (folder / "cpu.stat").read_text(), re.MULTILINE)
                return int(found[1]) / 1e6 if found is not None else 0.0
        return 0.0

    def oom_kills(self) -> int:
        """Return how many processes of the group the kernel ended because memory was short."""
        for folder in self.folders:
            for name in ("memory.events", "memory.oom_control"):
                with suppress(OSError):
                    found = re.search(r"^oom_kill (\d+)$", (folder / name).read_text(), re.MULTILINE)
                    if found is not None:
                        return int(found[1])
        return 0

    def remove(self) -> None:
        """Remove the empty group. Never raises. A group whose processes do not end within 0.1 s stays."""
        for folder in self.folders:
            _remove(folder)

    def _number(self, *names: str) -> int | None:
        for folder in self.folders:
            for name in names:
                with suppress(OSError, ValueError):
                    return int((folder / name).read_text())
        return None


class Cgroups:
    """Makes the groups of one worker. It finds out once, at its construction, which cgroups this process may use."""

    def __init__(
        self,
        worker: str,
        *,
        disk: Path = Path("/"),
        mounts: Path = Path("/proc/self/mountinfo"),
        own: Path = Path("/proc/self/cgroup"),
        systemd: Path = Path("/run/systemd/system"),
        sys: Path = Path("/sys"),
    ) -> None:
        """Find the cgroups for the worker `worker`, whose programs write to the disk of the folder `disk`.

        Tests pass other paths: `mounts` is a file like mountinfo. `own` lists the cgroups of this process. `systemd`
        exists if systemd runs.
        """
        self._prefix = f"edge-{worker}."
        self._disk, self._sys, self._mounts = disk, sys, mounts
        # The folders below which this process may make groups, by controller of version 1, and by `_V2`.
        self._base: dict[str, Path] = {}
        self._why = ""
        self._read(mounts, own, systemd)

    @property
    def usable(self) -> bool:
        """True if this worker can make a group that ends all its processes at once."""
        return _V2 in self._base

    @property
    def why_not(self) -> str:
        """The reason for which this worker can make no such group. Empty if it can."""
        return self._why

    def make(self, name: str, limits: Mapping[Limit, int], *, needed: bool) -> Group | None:
        """Return a group with `limits`, or None if there are no limits and no group is `needed`.

        Args:
            name: makes the folder of the group unique.
            limits: the number for each limit.
            needed: the group must be able to end all processes, because there is no sandbox that does so.

        Raises:
            NotEnforced: this machine cannot enforce a limit, or cannot end all processes although that is `needed`.
            OSError: the kernel refuses the group.
        """
        if not limits and not needed:
            return None
        if needed and not self.usable:
            raise NotEnforced(f"sandbox: false needs a cgroup, and this worker cannot make one: {self._why}")
        folders = {self._controller(limit): self._base_of(limit) for limit in limits}
        for limit in limits:
            if limit.of_disk and (why := why_no_weight(self._disk, sys=self._sys, mounts=self._mounts)):
                raise NotEnforced(f"{limit.key}: {why}; {CURE}")
        base = self._base.get(_V2)
        v2 = None if base is None else base / f"{self._prefix}{name}"
        others = {c: folder / f"{self._prefix}{name}" for c, folder in folders.items() if folder != base}
        group = Group(v2, others.values())
        try:
            for folder in group.folders:
                folder.mkdir(exist_ok=True)
            for limit, number in limits.items():
                controller = self._controller(limit)
                in_v2 = controller not in others
                self._set(limit, others.get(controller, v2), limit.v2(number) if in_v2 else limit.v1(number))
        except BaseException:
            group.remove()
            raise
        return group

    def clear(self) -> None:
        """End all processes that an earlier worker of this name left, and remove their groups."""
        for base in set(self._base.values()):
            for folder in base.glob(f"{self._prefix}*"):
                with suppress(OSError):
                    (folder / "cgroup.kill").write_text("1")
                _remove(folder)

    # --- inside -------------------------------------------------------------------------------------------

    def _controller(self, limit: Limit) -> str:
        if self._has_v2(limit.controller):
            return limit.controller
        return limit.v1_controller or limit.controller

    def _has_v2(self, controller: str) -> bool:
        base = self._base.get(_V2)
        return base is not None and controller in (base / "cgroup.controllers").read_text().split()

    def _base_of(self, limit: Limit) -> Path:
        """Return the folder below which a group with this limit is made. Enables the controller there."""
        if self._has_v2(limit.controller):
            base = self._base[_V2]
            if limit.controller not in (base / "cgroup.subtree_control").read_text().split():
                self._enable(base, limit)
            return base
        base_v1 = self._base.get(limit.v1_controller or limit.controller)
        if base_v1 is None:
            hint = f"; {limit.hint}" if limit.hint else ""
            why = self._why or f"the kernel's controller {limit.controller!r} is not available to this worker{hint}"
            raise NotEnforced(f"{limit.key}: {why}")
        return base_v1

    @staticmethod
    def _enable(base: Path, limit: Limit) -> None:
        for left in reversed(range(_TRIES)):
            try:
                with suppress(OSError):  # not needed at the root of all cgroups, which may have processes
                    own = base / _OWN
                    own.mkdir(exist_ok=True)
                    for pid in (base / "cgroup.procs").read_text().split():
                        with suppress(OSError):
                            (own / "cgroup.procs").write_text(pid)
                (base / "cgroup.subtree_control").write_text(f"+{limit.controller}")
            except OSError as err:
                if err.errno == errno.EBUSY and left:
                    continue
                raise NotEnforced(
                    f"{limit.key}: the controller {limit.controller!r} cannot be used below {base}: {err}"
                ) from err
            return

    @staticmethod
    def _set(limit: Limit, folder: Path | None, files: tuple[tuple[str, str], ...]) -> None:
        written = False
        for number, (name, text) in enumerate(files):
            path = (folder or Path()) / name
            if not path.exists() and (number or limit.of_disk):
                continue
            try:
                path.write_text(text)
                written = True
            except OSError as err:
                if number == 0:
                    raise NotEnforced(f"{limit.key}: {path.name} cannot be set: {err.strerror or err}") from err
        if not written:
            raise NotEnforced(f"{limit.key}: the kernel has none of {', '.join(name for name, _ in files)}")

    def _read(self, mounts: Path, own: Path, systemd: Path) -> None:
        try:
            places = dict(_places(mounts.read_text(), own.read_text()))
        except OSError as err:
            self._why = f"cgroups cannot be read: {err}"
            return
        under_systemd = systemd.exists()

        def may_use(folder: Path) -> bool:
            return os.access(folder, os.W_OK) and (not under_systemd or _delegated(folder))

        for controller, folder in places.items():
            if folder.name == _OWN and may_use(folder.parent):
                self._base[controller] = folder.parent
            elif may_use(folder):
                self._base[controller] = folder
        if _V2 not in places:
            self._why = "the kernel has no cgroup version 2 mounted"
        elif _V2 not in self._base:
            self._why = f"{places[_V2]} is not delegated to this worker (Delegate=yes in its unit)"


def _places(mountinfo: str, own: str) -> Iterable[tuple[str, Path]]:
    """Yield the folder of this process for version 2 and for each controller of version 1."""
    paths = {}
    for line in own.splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            paths[controller or _V2] = path
    for line in mountinfo.splitlines():
        match = _MOUNT.match(line)
        if match is None:
            continue
        root, point, kind, options = match.groups()
        names = [_V2] if kind == _V2 else options.split(",") if kind == "cgroup" else []
        for name in names:
            if name in paths:
                inside = os.path.relpath(paths[name], root)
                if not inside.startswith(".."):
                    yield name, Path(point) / inside


def _delegated(folder: Path) -> bool:
    for name in ("user.delegate", "trusted.delegate"):
        with suppress(OSError):
            if os.getxattr(folder, name) == b"1":
                return True
    return False


def _remove(folder: Path) -> None:
    for _ in range(20):
        try:
            folder.rmdir()
        except FileNotFoundError:
            return
        except OSError:
            time.sleep(0.005)  # the last process has not ended completely
        else:
            return
