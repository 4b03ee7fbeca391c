"""Personalises a bare Debian with the settings that Raspberry Pi Imager asks for before it writes a card."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path


def personalise(root: Path, name: str, key: Path) -> None:
    """Give the Debian at `root` a host name, the user `pi` with sudo, and a new ssh key; `key` is its private half."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    (root / "etc/hostname").write_text(f"{name}\n")
    (root / "etc/hosts").write_text(f"127.0.0.1 localhost\n127.0.1.1 {name}\n::1 localhost\n")
    (root / "etc/resolv.conf").unlink(missing_ok=True)
    _chroot(root, "useradd", "--create-home", "--shell", "/bin/bash", "pi")
    _chroot(root, "ssh-keygen", "-A")
    ssh = root / "home/pi/.ssh"
    ssh.mkdir(mode=0o700)
    shutil.copy(key.with_suffix(".pub"), ssh / "authorized_keys")
    _chroot(root, "chown", "-R", "pi:pi", "/home/pi/.ssh")
    (root / "etc/sudoers.d/pi").write_text("pi ALL=(ALL) NOPASSWD: ALL\n")
    # The root contains lists of packages, so no update is due today.
    stamp = root / "var/lib/apt/periodic/update-success-stamp"
    stamp.parent.mkdir(parents=True, exist_ok=True)
    stamp.touch()
    (root / "var/lib/apt/lists").touch()


def _chroot(root: Path, *argv: str) -> None:
    subprocess.run(["chroot", str(root), *argv], check=True, capture_output=True)
