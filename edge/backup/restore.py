"""A backup back onto a board: unpacked and checked beside what is there, then exchanged for it.

Nothing is deleted: what was there is moved to `before-restore-N/`. A cut during the exchange leaves a mark; until
another `edge restore` has ended it the gateway does not start.
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
    """What was done."""

    manifest: Manifest | None  # None: an exchange that a cut had ended was brought to its end
    aside: Path | None  # where what was there lies now
    config: Path | None  # where the backup's edge.yaml was laid


def restore(
    archive: Path,
    layout: Layout,
    config: Path,
    *,
    advance: Advance,
    set_aside: bool = False,
    keep_tokens: bool = False,
) -> Restored:
    """Put the backup in place of what `layout.root` holds; its open jobs are published again by the next gateway.

    With `keep_tokens` those that count now count beside the backup's.

    Raises BadArchive, UsageError (not empty and not `set_aside`), StackError (in use): then nothing has changed.
    """
    if not archive.is_file():
        raise UsageError(f"there is no file {archive}")
    durable.make_folder(layout.root)
    with _unused(layout):
        staging = layout.restoring
        if (staging / "READY").exists():
            return Restored(None, _exchange(layout), None)
        if not set_aside and (held := _held(layout)):
            raise UsageError(f"{layout.root} holds {held}; --set-aside moves it to a folder there, and restores")
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir(mode=0o750)
        try:
            manifest = unpack(archive, staging / "new", allowed=_allowed, advance=advance)
            _prepare(archive, staging / "new" / layout.ledger.name)
            if keep_tokens:
                _keep_tokens(layout, Layout(staging / "new", layout.run))
            laid = _lay_config(staging / "new" / CONFIG, config)
            subprocess.run(["sync", "-f", str(staging)], check=True, stdin=subprocess.DEVNULL)
        except BaseException:
            shutil.rmtree(staging, ignore_errors=True)
            raise
        durable.replace(staging / "READY", b"")
        durable.sync_folder(layout.root)
        return Restored(manifest, _exchange(layout), laid)


def _allowed(name: str) -> bool:
    return _NAME.fullmatch(name) is not None and not {"", ".", ".."} & set(name.split("/"))


def _held(layout: Layout) -> str:
    """What would be lost from sight; empty when the board has done nothing yet."""
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
    """The ledger is sound, and every open job in it counts as not with the broker."""
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


def _lay_config(new: Path, config: Path) -> Path | None:
    """The backup's edge.yaml where none is, or beside the one that is there and differs; None: nothing to do."""
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
    """Old out, new in; to be repeated until it went through. Where the old lies now, if there was any."""
    new = layout.restoring / "new"
    place = layout.restoring / "aside"
    if not place.exists():
        number = 1
        while (layout.root / f"before-restore-{number}").exists():
            number += 1
        durable.replace(place, f"before-restore-{number}".encode())
    aside = layout.root / place.read_text()
    for name in _OLD:
        # What the archive has not is old all the same; what is no longer in `new` is in its place already.
        if not (layout.restoring / "done").exists():
            _put_aside(layout.root, name, aside)
    if not (layout.restoring / "done").exists():
        subprocess.run(["sync", "-f", str(layout.root)], check=True, stdin=subprocess.DEVNULL)
        durable.replace(layout.restoring / "done", b"")  # all that was old is aside: what is there from now on is new
    for name in _STATE:
        if (new / name).exists():
            _put_aside(layout.root, name, aside)
            durable.make_folder((layout.root / name).parent)
            (new / name).rename(layout.root / name)
    subprocess.run(["sync", "-f", str(layout.root)], check=True, stdin=subprocess.DEVNULL)
    shutil.rmtree(layout.restoring)
    durable.sync_folder(layout.root)
    return aside if aside.exists() else None


def _put_aside(root: Path, name: str, aside: Path) -> None:
    """Move it away where it is there: a second time too, for a worker that starts after a cut makes it anew."""
    place, number = aside / name, 2
    while place.exists():
        place, number = aside / f"{name}.{number}", number + 1
    if (root / name).exists():
        durable.make_folder(place.parent)
        (root / name).rename(place)


@contextmanager
def _unused(layout: Layout) -> Iterator[None]:
    """Nobody runs on this root, and nobody may start. Raises StackError."""
    with ExitStack() as held:
        locks = {
            layout.root / "gateway.lock": "a gateway runs",
            layout.root / "up.lock": "edge up runs",
            layout.root: "a worker runs",  # each holds the folder itself, shared
        }
        for path, who in locks.items():
            made = not path.exists()
            # Without O_CREAT where it is there: in a sticky folder Debian refuses that for another's file, to root too.
            flags = os.O_RDONLY if path == layout.root else os.O_RDWR | (os.O_CREAT if made else 0)
            fd = os.open(path, flags, 0o640)
            held.callback(os.close, fd)
            if made:  # by us, as whoever we are: the gateway could not open it
                held.callback(path.unlink, missing_ok=True)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as err:
                raise StackError(f"{who} on {layout.root}; stop it first") from err
        os.truncate(layout.root / "up.lock", 0)  # the process named there is long gone, and its number another's
        yield
