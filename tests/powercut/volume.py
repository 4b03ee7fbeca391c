"""An ext4 file system on the volatile disk: attached at power-on, cut at any instant, attached again.

The loop device turns each flush of ext4 into an fsync of the disk. It is detached right after mounting, and the
kernel frees it at the unmount, whatever ends this program. Never call the global `sync` while a volume is attached:
it would wait for the disk, and the disk may wait for it.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from pathlib import Path

from tests.powercut.disk import Cut, Disk

SIZE = 1 << 30
_MKFS = [
    "-q",
    "-F",
    *os.environ.get("POWERCUT_MKFS", "").split(),
    "-E",
    "lazy_itable_init=0,lazy_journal_init=0,nodiscard",
    "-J",
    "size=16",
]
_PROGRAMS = ("losetup", "mkfs.ext4", "e2fsck", "mount", "umount", "sync", "unshare", "setpriv", "fusermount3")
_EXTENT = re.compile(r"\):(\d+)-(\d+)")
_PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"


def missing() -> str:
    """Return why no volume can be attached on this machine, or an empty text."""
    if os.geteuid() != 0:
        return "needs root: it mounts file systems"
    for device in ("/dev/fuse", "/dev/loop-control"):
        if not Path(device).exists():
            return f"needs {device}"
    for program in _PROGRAMS:
        if not shutil.which(program, path=_PATH):
            return f"needs the program {program}: apt install fuse3 e2fsprogs util-linux"
    try:
        import mfusepy  # noqa: F401 - loads libfuse, and raises if there is none
    except (ImportError, OSError) as err:
        return f"needs mfusepy and libfuse3: {err}"
    alone = subprocess.run(["unshare", "--mount", "true"], check=False, capture_output=True, text=True)
    return f"needs a private mount namespace: {alone.stderr.strip()}" if alone.returncode else ""


class Volume:
    """The file system in `folder`/disk.img, mounted at `mount` while attached."""

    def __init__(self, folder: Path, *, mount: Path | None = None) -> None:
        self.folder = folder
        self.image = folder / "disk.img"
        self.mount = mount or folder / "mnt"
        folder.mkdir(parents=True, exist_ok=True)
        if mount is None:
            self.mount.mkdir(exist_ok=True)
        self._disk: Disk | None = None
        self._loop = ""

    @property
    def disk(self) -> Disk:
        """The disk below the file system; only while attached."""
        assert self._disk is not None
        return self._disk

    @property
    def attached(self) -> bool:
        """True between `attach` and `detach`."""
        return self._disk is not None

    def format(self) -> None:
        """Make an empty file system; the volume is not attached afterwards."""
        with self.image.open("wb") as file:
            file.truncate(SIZE)
        _run("mkfs.ext4", *_MKFS, str(self.image))

    def copy_from(self, image: Path) -> None:
        """Take the content of another volume's image."""
        _run("cp", "--sparse=always", str(image), str(self.image))

    def copy_to(self, image: Path) -> None:
        """Copy this volume's image for others to begin with; only while not attached."""
        _run("cp", "--sparse=always", str(self.image), str(image))

    def attach(self) -> None:
        """Power on: start the disk, put a loop device on it, and mount it, which replays the journal."""
        self._disk = Disk(self.folder / "fuse", self.image)
        try:
            options = ("--show", "--find", "--direct-io=on", "--sector-size", "4096")
            self._loop = _run("losetup", *options, str(self._disk.file))
            try:
                _run("mount", "-t", "ext4", "-o", "noatime", self._loop, str(self.mount))
            finally:
                _run("losetup", "--detach", self._loop)
        except BaseException:
            self.detach()
            raise

    def cut(self, seed: int) -> Cut:
        """Cut the power now, unless an armed cut came first; return what the cut did."""
        return self.disk.cut(seed)

    def detach(self) -> None:
        """Unmount and end the disk; after a cut this flushes nothing more. Idempotent."""
        if self._disk is None:
            return
        deadline = time.monotonic() + 20.0
        while os.path.ismount(self.mount) and not _try("umount", str(self.mount)):
            if time.monotonic() > deadline:
                _try("umount", "--lazy", str(self.mount))
                break
            time.sleep(0.02)
        # Another mount namespace may hold the mount a moment longer than its last process.
        while self._loop and _backed(self._loop) and time.monotonic() < deadline:
            time.sleep(0.005)
        self._disk.close()
        self._disk, self._loop = None, ""

    def sync(self) -> None:
        """Write this file system out, and only this one."""
        _run("sync", "-f", str(self.mount))

    def watch_journal(self) -> None:
        """Let the disk count the writes to ext4's journal separately; only while attached."""
        inode = _run("debugfs", "-R", "stat <8>", str(self.image))
        extents = [(int(first), int(last)) for first, last in _EXTENT.findall(inode.partition("EXTENTS:")[2])]
        self.disk.journal(extents)

    def problems(self) -> str:
        """Return what e2fsck finds in the detached file system, or an empty text. Needs a clean unmount before."""
        done = subprocess.run(["e2fsck", "-fn", self.image], capture_output=True, text=True, check=False, env=_env())
        return "" if done.returncode == 0 else done.stdout + done.stderr


def _backed(loop: str) -> bool:
    return Path(f"/sys/block/{Path(loop).name}/loop/backing_file").exists()


def _env() -> dict[str, str]:
    return os.environ | {"PATH": _PATH, "LC_ALL": "C"}


def _run(*argv: str) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env=_env(), timeout=300)
    if done.returncode:
        raise RuntimeError(f"{' '.join(argv)}: {done.stderr.strip() or done.returncode}")
    return done.stdout.strip()


def _try(*argv: str) -> bool:
    return subprocess.run(argv, capture_output=True, check=False, env=_env()).returncode == 0
