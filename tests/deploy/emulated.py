"""A whole machine in QEMU with kernel, memory and card. A kill of QEMU is a power cut."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from edge.up.broker.ports import free_ports
from tests.deploy.card import personalise
from tests.deploy.root import cache, debian

_DISK_BYTES = 6 << 30
_NETWORK = "[Match]\nName=en*\n\n[Network]\nDHCP=ipv4\n"


_KVM = Path("/dev/kvm")
#: Seconds in which a processor boots a kernel. A /dev/kvm without support of the processor needs hours, or fails.
_PROBE_S = 20.0


@dataclass(frozen=True)
class Arch:
    """A kind of machine: its name at Debian, and how QEMU and the kernel are called for it."""

    name: str
    qemu: str
    machine: tuple[str, ...]
    kernel: str
    emulated: tuple[str, ...]
    virtual: tuple[str, ...] = ()  # options with which the processor of this machine runs it, if it can


# Without kpti, QEMU need not flush its cache of address translations at each system call.
ARM64 = Arch(
    "arm64",
    "qemu-system-aarch64",
    ("-M", "virt"),
    "root=/dev/vda console=ttyAMA0 kpti=off",
    ("-cpu", "cortex-a72", "-accel", "tcg,thread=multi"),
)
AMD64 = Arch(
    "amd64",
    "qemu-system-x86_64",
    ("-M", "q35", "-vga", "none"),
    "root=/dev/vda console=ttyS0 mitigations=off",
    ("-cpu", "max", "-accel", "tcg,thread=multi"),
    ("-cpu", "host", "-accel", "kvm"),
)


def lacking(arch: Arch, *programs: str) -> str:
    """Return why this machine cannot run a machine of `arch` with these `programs`, or an empty text if it can."""
    missing = [name for name in (arch.qemu, "debootstrap", "mkfs.ext4", "ssh", *programs) if shutil.which(name) is None]
    return f"not installed: {', '.join(missing)}" if missing else "needs root" if os.geteuid() else ""


class Emulated:
    """A Debian on a fresh card; ssh and the gateway are reachable by ports of this machine."""

    def __init__(
        self, arch: Arch = ARM64, suite: str = "trixie", *, memory_mb: int = 512, name: str = "edge-board"
    ) -> None:
        self.name, self.arch, self.suite = name, arch, suite
        self.gateway_port, self._ssh_port = free_ports(2)
        self._memory_mb = memory_mb
        self._folder = Path(tempfile.mkdtemp(prefix="emulated-", dir=cache()))
        self._disk = self._folder / "disk.img"
        self._console = self._folder / "console.log"
        self._key = self._folder / "id"
        self._process: subprocess.Popen[bytes] | None = None
        self._boot: list[str] = []
        self.virtual = False  # True if the processor runs it; False if QEMU does, many times slower

    def __enter__(self) -> Emulated:
        kernel, initrd = (max(self.bare.glob(f"boot/{name}-*")) for name in ("vmlinuz", "initrd.img"))
        self.virtual = _boots(self.arch, kernel)
        self._boot = [*self.arch.machine, *(self.arch.virtual if self.virtual else self.arch.emulated)]
        self._boot += ["-kernel", str(kernel), "-initrd", str(initrd), "-append", self.arch.kernel]
        return self

    @property
    def bare(self) -> Path:
        """The folder of the bare Debian that a fresh card gets."""
        return debian(self.suite, self.arch.name, kernel=True)

    def __exit__(
        self, kind: type[BaseException] | None, err: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def write_card(self) -> None:
        """Write a fresh card: a bare Debian, as Raspberry Pi Imager makes it."""
        with self._disk.open("wb") as disk:
            disk.truncate(_DISK_BYTES)
        _run("mkfs.ext4", "-q", "-d", self.bare, self._disk)
        root = self._folder / "root"
        root.mkdir()
        _run("mount", "-o", "loop", self._disk, root)
        try:
            personalise(root, self.name, self._key)
            (root / "etc/fstab").write_text("/dev/vda / ext4 defaults 0 1\n")
            (root / "etc/systemd/network/lan.network").write_text(_NETWORK)
            _run("chroot", root, "systemctl", "enable", "systemd-networkd")
        finally:
            _run("umount", root)

    def copy_card(self, kept: Path) -> None:
        """Copy the card and its ssh key to the folder `kept`; only while the machine is off."""
        _copy(self._disk, self._key, kept)

    def take_card(self, kept: Path) -> None:
        """Use a copy of a card that `copy_card` has kept."""
        _copy(kept / self._disk.name, kept / self._key.name, self._folder)

    @property
    def login(self) -> dict[str, Any]:
        """The variables with which Ansible reaches it."""
        return {
            "ansible_host": "127.0.0.1",
            "ansible_port": self._ssh_port,
            "ansible_ssh_private_key_file": str(self._key),
        }

    def boot(self) -> float:
        """Switch the machine on, and return the seconds until a login by ssh is possible."""
        began = time.monotonic()
        forward = f"hostfwd=tcp:127.0.0.1:{self._ssh_port}-:22,hostfwd=tcp:127.0.0.1:{self.gateway_port}-:8420"
        argv = [self.arch.qemu, *self._boot, "-smp", "2", "-m", str(self._memory_mb)]
        argv += ["-nographic", "-serial", "mon:stdio"]
        # `unsafe` spares this machine's disk. Data that the guest has written still survives the end of QEMU.
        argv += ["-drive", f"file={self._disk},format=raw,if=virtio,cache=unsafe"]
        argv += ["-netdev", f"user,id=lan,restrict=on,{forward}", "-device", "virtio-net-pci,netdev=lan,romfile="]
        with self._console.open("ab") as console:
            self._process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=console, stderr=subprocess.STDOUT, start_new_session=True
            )
        self.until(lambda: self.run("true").returncode == 0, 900)
        return time.monotonic() - began

    def shut_down(self) -> None:
        """Stop cleanly, as `poweroff` does."""
        self.run("sudo systemctl --no-block poweroff")
        if self._process is not None:
            self._process.wait(900)

    def kill(self) -> None:
        """Cut the power; data that the guest has not written yet is lost."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(30)
        self._process = None

    def run(self, script: str) -> subprocess.CompletedProcess[str]:
        """Run a script on it by ssh, as `pi`."""
        options = ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR", "ConnectTimeout=10"]
        argv = ["ssh", "-i", str(self._key), "-p", str(self._ssh_port), *(f"-o{option}" for option in options)]
        return subprocess.run([*argv, "pi@127.0.0.1", script], capture_output=True, text=True, check=False, timeout=300)

    def sh(self, script: str) -> str:
        """Run a script as root, and return its output; raises AssertionError if it fails."""
        done = self.run(f"sudo sh -ec {_quoted(script)}")
        assert done.returncode == 0, f"{script}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout.strip()

    def until(self, true: Callable[[], bool], timeout_s: float) -> None:
        """Return once `true()`; raises TimeoutError with the output of the console."""
        deadline = time.monotonic() + timeout_s
        while not true():
            if self._process is None or self._process.poll() is not None or time.monotonic() > deadline:
                journal = self.run("sudo journalctl --no-pager --lines=60").stdout
                raise TimeoutError(f"not within {timeout_s:g} s\n{journal or self._console.read_text()[-3000:]}")
            time.sleep(1.0)


def _boots(arch: Arch, kernel: Path) -> bool:
    """Return True if the processor of this machine boots the kernel, which ends at once because it has no root."""
    if not arch.virtual or not os.access(_KVM, os.R_OK | os.W_OK):
        return False
    argv = [arch.qemu, *arch.machine, *arch.virtual, "-m", "512", "-nographic", "-no-reboot", "-nodefaults"]
    argv += ["-kernel", str(kernel), "-append", "panic=-1"]
    try:
        return subprocess.run(argv, capture_output=True, timeout=_PROBE_S, check=False).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def _copy(disk: Path, key: Path, folder: Path) -> None:
    _run("cp", "--sparse=always", "--reflink=auto", "--preserve=mode", disk, key, folder)


def _quoted(script: str) -> str:
    return "'" + script.replace("'", "'\\''") + "'"


def _run(*argv: object) -> None:
    subprocess.run([str(one) for one in argv], check=True, capture_output=True)
