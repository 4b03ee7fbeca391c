"""Makes the bubblewrap command line of a program: a read-only system, the folders of the run, and a private `/tmp`.

There is no network unless the command has `network: true`. The program sees only the paths that this module lists. It
does not see the state or configuration of the appliance, any home folder, or `/run`. The process namespace has a
process 1. When that process ends, all processes in the namespace end, daemons too.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath

#: Paths in the sandbox: the working folder of the program, its inputs, and the folder EDGE_CHECKPOINT.
WORK, INPUTS, CHECKPOINT = PurePath("/work"), PurePath("/inputs"), PurePath("/checkpoint")
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc", "/opt", "/sys/devices/system/cpu")
#: Hidden parts of `/etc`: the configuration of the appliance, and secrets that a worker of root could read.
_HIDDEN_FILES = ("/etc/shadow", "/etc/gshadow", "/etc/shadow-", "/etc/gshadow-", "/etc/sudoers", "/etc/machine-id")
_HIDDEN_FOLDERS = (
    "/etc/edge",
    "/etc/ssh",
    "/etc/sudoers.d",
    "/etc/ssl/private",
    "/etc/NetworkManager",
)
_TMP_BYTES = 64 << 20
#: User id of programs that a root worker starts, and the command that switches to it.
NOBODY = 65534
_CAPABILITIES = ("CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP")
_AS_NOBODY = (
    "/usr/bin/setpriv",
    *(f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"),
    *("--inh-caps=-all", "--bounding-set=-all", "--no-new-privs", "--"),
)


@dataclass(frozen=True)
class Visible:
    """The paths that one run may see in addition to the system."""

    work: Path
    checkpoint: Path
    inputs: Mapping[PurePath, Path]  # by the path in the sandbox
    reads: tuple[str, ...]
    hidden: tuple[Path, ...]  # state of the appliance; `reads` may name a folder around it, but it stays hidden
    network: bool


def bubblewrap() -> str | None:
    """Return the path of bubblewrap, or None if it is not installed."""
    return shutil.which("bwrap", path="/usr/local/bin:/usr/bin:/bin")


def give(*paths: Path) -> None:
    """Make the user of the program the owner of folders and files. Does nothing unless root runs the worker.

    Raises OSError.
    """
    if os.geteuid() == 0:
        for path in paths:
            os.chown(path, NOBODY, NOBODY)
            if path.is_dir():
                path.chmod(0o755)  # bubblewrap enters it as root without capabilities; the parent keeps mode 0700


def words(bwrap: str, visible: Visible, *, status: int) -> list[str]:
    """Return the command line before the program. Bubblewrap writes its report to the descriptor `status`.

    If root runs the worker, the program runs as nobody, because root may write to `/proc/sys` without any capability.
    """
    as_root = os.geteuid() == 0
    return [
        bwrap,
        *(() if as_root else ("--unshare-user",)),
        *("--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"),
        *(() if visible.network else ("--unshare-net",)),
        *("--die-with-parent", "--new-session", "--cap-drop", "ALL"),
        *(word for name in (_CAPABILITIES if as_root else ()) for word in ("--cap-add", name)),
        *("--json-status-fd", str(status)),
        *_system(),
        *("--proc", "/proc", "--dev", "/dev"),
        *("--perms", "1777", "--size", str(_TMP_BYTES), "--tmpfs", "/tmp"),  # noqa: S108 - the sandbox's own
        *_reads(visible),
        *("--bind", str(visible.work), str(WORK), "--bind", str(visible.checkpoint), str(CHECKPOINT)),
        *(
            word
            for there, path in visible.inputs.items()
            for word in (*_parents(there), "--ro-bind", str(path), str(there))
        ),
        *("--remount-ro", "/", "--chdir", str(WORK), "--"),
        *(_AS_NOBODY if as_root else ()),
    ]


def refused_read(visible: Visible) -> str | None:
    """Return a path of `reads` that leads, perhaps by a link, to a hidden path, or None if there is none."""
    secret = (*visible.hidden, *map(Path, (*_HIDDEN_FOLDERS, *_HIDDEN_FILES)))
    for name in visible.reads:
        found = Path(name).resolve()
        if any(found.is_relative_to(each.resolve()) or found.is_relative_to(each) for each in secret):
            return name
    return None


def _system() -> Iterator[str]:
    for name in _SYSTEM:
        path = Path(name)
        if path.is_symlink():
            yield from ("--symlink", str(path.readlink()), name)
        elif path.exists():
            yield from ("--ro-bind", name, name)
    # systemd-resolved makes this file a link into /run, which the program does not see.
    resolv = Path("/etc/resolv.conf")
    if resolv.is_symlink() and (target := resolv.resolve()).is_file() and target.is_relative_to("/run"):
        yield from ("--ro-bind", str(target), str(target))


def _parents(path: PurePath) -> Iterator[str]:
    """Yield the arguments that make the parent folders of `path`. Bubblewrap would make them for its own user only."""
    for folder in reversed(path.parents[:-1]):
        if folder not in (WORK, PurePath("/tmp")):  # noqa: S108 - the sandbox's own
            yield from ("--perms", "0755", "--dir", str(folder))


def _reads(visible: Visible) -> Iterator[str]:
    for name in visible.reads:
        if not is_visible(name):
            yield from _parents(PurePath(name))
        yield from ("--ro-bind", name, name)
    for name in _HIDDEN_FOLDERS:
        if os.access(name, os.R_OK):  # a folder that the worker cannot read is hidden already
            yield from ("--tmpfs", name)
    for name in _HIDDEN_FILES:
        if os.access(name, os.R_OK):
            yield from ("--ro-bind", "/dev/null", name)
    for folder in visible.hidden:
        if folder.is_dir() and any(folder.is_relative_to(name) for name in (*visible.reads, *_SYSTEM)):
            yield from ("--tmpfs", str(folder))


def is_visible(program: str) -> bool:
    """Return True if a program lies in one of the folders that every sandbox sees."""
    return any(program.startswith(f"{name}/") for name in _SYSTEM)
