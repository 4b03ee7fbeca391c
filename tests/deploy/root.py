"""Makes a bare Debian as a folder, the content of a fresh card; it is made once and kept in the user's cache."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
HERE = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]
#: Packages that Raspberry Pi OS Lite has and debootstrap's smallest variant does not.
INSTALLED = [
    *("systemd", "systemd-sysv", "systemd-timesyncd", "dbus", "udev", "kmod", "openssh-server", "sudo"),
    *("python3", "python3-apt", "ca-certificates", "iproute2", "procps", "gpgv"),
]
#: Packages that the roles install later. They are fetched now, so that the board needs no access to the internet.
FETCHED = [
    *("rabbitmq-server", "python3-venv", "openssl", "bubblewrap"),
    *("nftables", "avahi-daemon", "unattended-upgrades"),
]
#: Further packages for a whole machine; a container gets their function from its host.
MACHINE = {"installed": ["linux-image-{arch}", "initramfs-tools", "zstd"], "fetched": ["zram-tools"]}


def cache() -> Path:
    """Return the folder that keeps roots, wheels and the controller's environment between runs."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "edge-worker"


def suite() -> str:
    """Return the Debian suite that `make test-deploy` and `make test-vm` boot; SUITE=trixie is Debian 13."""
    return os.environ.get("SUITE") or "bookworm"


def debian(suite: str, arch: str = HERE, *, kernel: bool = False) -> Path:
    """Return the root of a bare Debian; the first call makes it and takes minutes, many for a foreign `arch`."""
    installed = INSTALLED + ([name.format(arch=arch) for name in MACHINE["installed"]] if kernel else [])
    fetched = FETCHED + (MACHINE["fetched"] if kernel else [])
    recipe = hashlib.sha256(f"{suite} {arch} {installed} {fetched} 2".encode()).hexdigest()[:8]
    root = cache() / f"debian-{suite}-{arch}-{recipe}"
    if root.exists():
        return root
    part = root.with_suffix(".part")
    if part.exists():
        shutil.rmtree(part)
    part.parent.mkdir(parents=True, exist_ok=True)
    sources = _sources(suite)
    mirror = [line.split()[-3] for line in sources[:1]]
    _run("debootstrap", f"--arch={arch}", "--variant=minbase", f"--include={','.join(installed)}", suite, part, *mirror)
    _apt_as_here(part, sources)
    for step in (["update"], ["dist-upgrade"], ["install", "--download-only", *fetched]):
        _run("chroot", part, "apt-get", "--quiet", "--yes", "--no-install-recommends", *step)
    (part / "etc/machine-id").write_text("")
    for key in part.glob("etc/ssh/ssh_host_*"):
        key.unlink()
    part.rename(root)
    return root


def _sources(suite: str) -> list[str]:
    """Return this machine's Debian sources for another suite, so that the root gets packages from the same places."""
    here = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(ORIGIN)|$(SITE)|$(RELEASE)|$(COMPONENT)|$(CODENAME)"],
        capture_output=True,
        text=True,
        check=False,
    ).stdout.splitlines()
    found = []
    for line in dict.fromkeys(here):
        origin, site, release, component, _ = line.split("|")
        if origin == "Debian" and component == "main":
            found.append(f"deb {site} {release.replace(_codename(suite), suite)} {component}")
    return sorted(found, key=len)


def _codename(otherwise: str) -> str:
    return platform.freedesktop_os_release().get("VERSION_CODENAME", otherwise)


def _apt_as_here(root: Path, sources: list[str]) -> None:
    """Give the root the package sources, proxies and credentials of this machine."""
    if sources:
        (root / "etc/apt/sources.list").write_text("".join(f"{line}\n" for line in sources))
    for folder in ("apt.conf.d", "auth.conf.d"):
        for file in Path("/etc/apt", folder).glob("*"):
            if file.is_file() and (folder == "auth.conf.d" or "Acquire::" in file.read_text()):
                shutil.copy(file, root / "etc/apt" / folder / file.name)
    for name in ("resolv.conf", "hosts"):
        if Path("/etc", name).exists():
            (root / "etc" / name).write_text(Path("/etc", name).read_text())


def _run(*argv: object) -> None:
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
    done = subprocess.run([str(one) for one in argv], capture_output=True, text=True, check=False, env=env)
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, argv))} failed:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
