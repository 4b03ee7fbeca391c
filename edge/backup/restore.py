"""Restores a backup: unpacks and checks it next to the old state, then exchanges the two.

Nothing is deleted. The old state is moved to `before-restore-N/`. A power cut during the exchange leaves a mark. Then
the gateway does not start until another `edge restore` has finished the exchange.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import msgspec

from edge.access.tokens import Tokens
from edge.backup.archive import Advance, BadArchive, Manifest, unpack
from edge.backup.pack import CONFIG
from edge.core import durable
from edge.core.errors import StackError, StorageError, UsageError
from edge.core.layout import Layout
from edge.ledger.recovery import copies
from edge.ledger.recovery.damage import damage
from edge.ledger.writer import LedgerWriter

_FOLDERS = ("results", "attempts", "checkpoints", "spawned", "tasks", "power/days", "paired", "activity", "files")
_NAME = re.compile(rf"(ledger\.sqlite|tokens\.json|power/pause\.json|config/edge\.yaml)|({'|'.join(_FOLDERS)})(/.+)?")
_STATE = (*_FOLDERS, "power/pause.json", "tokens.json", "ledger.sqlite")
_OLD = (*_STATE, "ledger.sqlite-wal", "ledger.sqlite-shm", "ledger.copy.sqlite")


class Restored(msgspec.Struct, frozen=True):
    """The outcome of a restore."""

    manifest: Manifest | None  # None if an interrupted exchange was finished, and no archive was read
    aside: Path | None  # where the old state is now; None if there was none
    config: Path | None  # where the edge.yaml of the backup was written; None if it was not needed


def restore(
    archive: Path,
    layout: Layout,
    config: Path,
    *,
    advance: Advance,
    set_aside: bool = False,
    keep_tokens: bool = False,
) -> Restored:
    """Replace the state in `layout.root` by the backup.

    When the gateway starts next, it publishes the open jobs of the backup again.

    If an earlier restore was interrupted during the exchange, only finish that one.

    Args:
        archive: the backup.
        layout: where the state of the board is.
        config: where the board's edge.yaml is, or belongs.
        advance: called after each unpacked file.
        set_aside: allow to move existing state to a folder.
        keep_tokens: keep the present tokens valid, in addition to the tokens of the backup.

    Raises:
        BadArchive: the archive is damaged. Nothing has changed.
        UsageError: there is no archive, or there is state and `set_aside` is not set. Nothing has changed.
        StackError: the state is in use. Nothing has changed.
        OSError, StorageError, CalledProcessError: the disk failed. Call `restore` again.
    """
    if not archive.is_file():
        raise UsageError(f"there is no file {archive}")
    durable.make_folder(layout.root)
    with _locked(layout):
        staging = layout.restoring
        if (staging / "READY").exists():
            return Restored(None, _exchange(layout), None)
        if not set_aside and (existing := _existing(layout)):
            raise UsageError(f"{layout.root} holds {existing}; --set-aside moves it to a folder there, and restores")
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir(mode=0o750)
        try:
            manifest = unpack(archive, staging / "new", allowed=_allowed, advance=advance)
            _prepare(archive, staging / "new" / layout.ledger.name)
            if keep_tokens:
                _keep_tokens(layout, Layout(staging / "new", layout.run))
            written = _write_config(staging / "new" / CONFIG, config)
            subprocess.run(["sync", "-f", str(staging)], check=True, stdin=subprocess.DEVNULL)
        except BaseException:
            shutil.rmtree(staging, ignore_errors=True)
            raise
        durable.replace(staging / "READY", b"")
        durable.sync_folder(layout.root)
        return Restored(manifest, _exchange(layout), written)


def _allowed(name: str) -> bool:
    return _NAME.fullmatch(name) is not None and not {"", ".", ".."} & set(name.split("/"))


def _existing(layout: Layout) -> str:
    """Return what state a restore would move away, or an empty text if the board has done nothing yet."""
    if layout.ledger.exists():
        mark = copies.mark(layout.ledger)
        if mark is None or mark.jobs:
            return f"a ledger of {mark.jobs} jobs" if mark else "a ledger that cannot be read"
    for name in ("results", "attempts", "checkpoints", "spawned"):
        folder = layout.root / name
        if any(path.is_file() for path in folder.glob("**/*")):
            return name
    return "tokens" if layout.tokens.exists() or layout.paired.exists() else ""


def _prepare(archive: Path, ledger: Path) -> None:
    """Check the ledger of the backup, and mark every open job in it as not published. Raises BadArchive."""
    if not ledger.exists():
        raise BadArchive(archive, "it holds no ledger")
    try:
        if why := damage(ledger, limit_s=60.0):
            raise BadArchive(archive, f"its ledger is broken: {why}")
        stat = ledger.stat()
        with closing(LedgerWriter.open(ledger)) as opened, opened.transaction(durable=True):
            opened.requeue_all()
        ledger.chmod(stat.st_mode & 0o7777)
    except StorageError as err:
        raise BadArchive(archive, f"its ledger cannot be used: {err}") from err


def _keep_tokens(current: Layout, new: Layout) -> None:
    tokens = Tokens(new.tokens, paired=new.paired)
    tokens.keep(Tokens(current.tokens, paired=current.paired).list())


def _write_config(new: Path, config: Path) -> Path | None:
    """Write the edge.yaml of the backup, and return its path.

    If the board has a different edge.yaml, that one stays, and the new one gets the suffix `.restored`. Return None if
    the backup has no edge.yaml, or the board has the same one.
    """
    if not new.exists():
        return None
    content = new.read_bytes()
    shutil.rmtree(new.parent)
    if config.exists():
        if config.read_bytes() == content:
            return None
        config = config.with_name(f"{config.name}.restored")
    durable.make_folder(config.parent)
    durable.replace(config, content)
    return config


def _exchange(layout: Layout) -> Path | None:
    """Move the old state away and the new state in. Return where the old state is now, or None if there was none.

    After an interruption at any point, another call continues the exchange.
    """
    new = layout.restoring / "new"
    place = layout.restoring / "aside"
    if not place.exists():
        number = 1
        while (layout.root / f"before-restore-{number}").exists():
            number += 1
        durable.replace(place, f"before-restore-{number}".encode())
    aside = layout.root / place.read_text()
    for name in _OLD:
        # Move every old name away, even if the archive does not have it. When the file `done` exists, all old state has
        # been moved, and every name in the root is new state.
        if not (layout.restoring / "done").exists():
            _put_aside(layout.root, name, aside)
    if not (layout.restoring / "done").exists():
        subprocess.run(["sync", "-f", str(layout.root)], check=True, stdin=subprocess.DEVNULL)
        durable.replace(layout.restoring / "done", b"")  # from now on every name in the root is new state
    for name in _STATE:
        if (new / name).exists():  # otherwise the archive does not have it, or it is in its place already
            _put_aside(layout.root, name, aside)
            durable.make_folder((layout.root / name).parent)
            (new / name).rename(layout.root / name)
    subprocess.run(["sync", "-f", str(layout.root)], check=True, stdin=subprocess.DEVNULL)
    shutil.rmtree(layout.restoring)
    durable.sync_folder(layout.root)
    return aside if aside.exists() else None


def _put_aside(root: Path, name: str, aside: Path) -> None:
    """Move `name` away if it exists. A numbered name is used if it was moved before.

    That happens when a worker starts after a power cut during the exchange, and makes the file or folder again.
    """
    place, number = aside / name, 2
    while place.exists():
        place, number = aside / f"{name}.{number}", number + 1
    if (root / name).exists():
        durable.make_folder(place.parent)
        (root / name).rename(place)


@contextmanager
def _locked(layout: Layout) -> Iterator[None]:
    """Hold all locks of the root, so that no process uses it and none can start. Raises StackError."""
    with ExitStack() as held:
        locks = {
            layout.root / "gateway.lock": "a gateway runs",
            layout.root / "up.lock": "edge up runs",
            layout.root: "a worker runs",  # each worker holds a shared lock on the folder itself
        }
        for path, user in locks.items():
            made = not path.exists()
            # With `fs.protected_regular` (Debian's default), O_CREAT on another user's file in a sticky folder fails,
            # even for root.
            flags = os.O_RDONLY if path == layout.root else os.O_RDWR | (os.O_CREAT if made else 0)
            fd = os.open(path, flags, 0o640)
            held.callback(os.close, fd)
            if made:  # remove it again: it belongs to our user, so the gateway's user could not open it
                held.callback(path.unlink, missing_ok=True)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as err:
                raise StackError(f"{user} on {layout.root}; stop it first") from err
        # The process that `up.lock` names has ended, and another process may have its number now.
        os.truncate(layout.root / "up.lock", 0)
        yield
