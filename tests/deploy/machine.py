"""A booted Debian with systemd as process 1, in a container on the network of the test."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.deploy.card import personalise
from tests.deploy.group import Group
from tests.deploy.lan import Seat
from tests.deploy.root import cache, debian, suite

#: nspawn gives a container a new boot id, but units with a private /proc may see that of the host. This makes it one.
_ONE_BOOT_ID = """\
[Unit]
DefaultDependencies=no
Before=sysinit.target

[Service]
Type=oneshot
ExecStart=umount /proc/sys/kernel/random/boot_id
"""


class Machine:
    """One board; its root is an overlay over the bare Debian, so the card is fresh and the cached root is unchanged."""

    def __init__(self, seat: Seat) -> None:
        self.seat = seat
        self.name = seat.name
        cache().mkdir(parents=True, exist_ok=True)
        self._folder = Path(tempfile.mkdtemp(prefix="board-", dir=cache()))
        self.root = self._folder / "root"
        self.console = self._folder / "console.log"
        self.key = self._folder / "id"
        self._group = Group(seat.netns)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.root.mkdir()
        self._insert()
        personalise(self.root, self.name, self.key)
        unit = self.root / "etc/systemd/system/one-boot-id.service"
        unit.write_text(_ONE_BOOT_ID)
        wants = unit.with_name("sysinit.target.wants")
        wants.mkdir(exist_ok=True)
        (wants / unit.name).symlink_to(f"../{unit.name}")
        self.boot()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, err: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        self._group.remove()
        subprocess.run(["umount", self.root], check=False)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _insert(self) -> None:
        """Mount the card of a bare Debian at `root`."""
        for part in ("upper", "work"):
            (self._folder / part).mkdir()
        layers = f"lowerdir={debian(suite())},upperdir={self._folder / 'upper'},workdir={self._folder / 'work'}"
        subprocess.run(["mount", "-t", "overlay", "overlay", "-o", layers, self.root], check=True)

    def boot(self) -> None:
        """Start the board, and return when systemd has finished its start-up."""
        if self._process is not None:
            self._process.wait(30)  # if it powered itself off, the container ends a little later than its systemd
        argv = [*self._group.enter(), "systemd-nspawn", "--boot", "--register=no", "--keep-unit"]
        argv += [f"--directory={self.root}"]
        argv += [f"--machine={self.name}", f"--network-namespace-path=/run/netns/{self.seat.netns}"]
        argv += ["--capability=CAP_NET_ADMIN", "--link-journal=no", "--settings=no", "--timezone=off"]
        argv += ["--resolv-conf=off", "--console=pipe"]
        # As on a board it has cgroup 2, even if this machine still has cgroup 1.
        env = {**os.environ, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"}
        null = subprocess.DEVNULL
        with self.console.open("ab") as out:
            self._process = subprocess.Popen(argv, env=env, stdin=null, stdout=out, stderr=out, start_new_session=True)
        self.until(lambda: self.run("systemctl", "is-system-running").stdout.strip() in {"running", "degraded"}, 120)

    def shut_down(self) -> None:
        """Stop cleanly, as `poweroff` does."""
        self._end(signal.SIGTERM, 120)

    def kill(self) -> None:
        """Kill every process of the board at once."""
        leader = self.leader
        if leader:
            os.kill(leader, signal.SIGKILL)
        self._end(signal.SIGKILL, 30)

    @property
    def login(self) -> dict[str, Any]:
        """The variables with which Ansible reaches it."""
        return {"ansible_host": self.seat.wire, "ansible_ssh_private_key_file": str(self.key)}

    @property
    def leader(self) -> int:
        """The process id of its systemd, as seen from here; 0 if it does not run."""
        if self._process is None or self._process.poll() is not None:
            return 0
        found = subprocess.run(["pgrep", "-P", str(self._process.pid)], capture_output=True, text=True, check=False)
        return int((found.stdout.split() or ["0"])[0])

    def run(self, *argv: str) -> subprocess.CompletedProcess[str]:
        """Run a program on the board as root, without ssh."""
        leader = self.leader
        if not leader:
            return subprocess.CompletedProcess(argv, 255, "", "the board is off")
        return subprocess.run(
            ["nsenter", f"--target={leader}", "--all", "--", *argv],
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )

    def sh(self, script: str) -> str:
        """Run a shell script on the board, and return its output; raises AssertionError with the output if it fails."""
        done = self.run("sh", "-ec", script)
        assert done.returncode == 0, f"{script}: {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
        return done.stdout.strip()

    def until(self, true: Callable[[], bool], timeout_s: float = 60.0) -> None:
        """Return once `true()`; raises TimeoutError with the end of the journal."""
        deadline = time.monotonic() + timeout_s
        while not true():
            if time.monotonic() > deadline:
                journal = self.run("journalctl", "--no-pager", "--lines=60", "--output=short-monotonic").stdout
                raise TimeoutError(
                    f"not within {timeout_s:g} s; journal:\n{journal or self.console.read_text()[-3000:]}"
                )
            time.sleep(0.2)

    def active(self, *units: str) -> bool:
        """Return True if every unit is active."""
        return self.run("systemctl", "is-active", *units).stdout.split() == ["active"] * len(units)

    def _end(self, number: int, timeout_s: float) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)
            self._process.wait(timeout_s)
        self._process = None
