"""Checks of the files of a board: folders, secrets, ledger, schedules, and stores that were set aside."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path

from edge.cli.board.checks.finding import Finding, fail, ok, warn
from edge.config import Config
from edge.core.errors import EdgeError
from edge.core.layout import Layout

#: Folder in which the broker of an appliance has its store.
APPLIANCE_BROKER = Path("/var/lib/rabbitmq")
_CHECK_S = 60.0
_OTHER_USER = "to check all of it: sudo edge doctor"
#: What to write into the file that a key of the configuration names.
_CONTENT = {
    "node.token_file": "the token that the head gave",
    "broker.password_file": "the broker's password",
    "mqtt.password_file": "the password of the MQTT user",
}
_ASIDE = re.compile(r"\.(set-aside|no-better)-\d+$")


def folders(config: Config) -> Iterator[Finding]:
    """Check that state root and run folder exist, that this user can use them, and that not every user can write."""
    for name, path in (("root", config.root), ("run", config.run)):
        part = f"{name} folder"
        try:
            mode = path.stat().st_mode
        except FileNotFoundError:
            text = f"{path} is not there yet"
            if _may_make(path):
                yield ok(part, f"{text}; it is made at the first start")
            else:
                yield warn(part, text, "made when the board is deployed, or the system boots")
            continue
        except OSError as err:
            yield fail(part, f"{path}: {err.strerror}", _OTHER_USER)
            continue
        if not stat.S_ISDIR(mode):
            yield fail(part, f"{path} is not a folder", f"move it away, or set `{name}` in edge.yaml")
        elif mode & stat.S_IWOTH:
            yield fail(part, f"every user can write to {path}", f"chmod o-w {path}")
        elif not os.access(path, os.R_OK | os.W_OK | os.X_OK):
            yield warn(part, f"this user may not use {path}", _OTHER_USER)
        else:
            yield ok(part, str(path))


def secrets(config: Config) -> Iterator[Finding]:
    """Check that the configured password files exist, and that not every user can read a file with secrets."""
    node = config.node.head_url is not None
    named = [("broker.password_file", config.broker.password_file)]
    if config.mqtt.password_file is not None and not node:
        named.append(("mqtt.password_file", config.mqtt.password_file))
    own = (("tokens", config.layout.tokens), ("paired tokens", config.layout.paired))
    named += [("node.token_file", config.node.token_file)] if node else own
    for name, path in named:
        if path is None:
            continue
        try:
            mode = path.stat().st_mode
        except FileNotFoundError:
            if name not in dict(own):
                what = _CONTENT[name]
                advice = f"`edge deploy` makes it; without `edge deploy`: write {what} into it, mode 0640"
                yield fail(name, f"{path} is not there", advice)
            continue
        except OSError as err:
            yield warn(name, f"{path}: {err.strerror}", _OTHER_USER)
            continue
        if mode & stat.S_IRWXO:
            yield fail(name, f"every user can read {path}", f"chmod o= {path}")
        else:
            yield ok(name, str(path))
    if not node and not config.gateway.loopback_without_token and not _has_tokens(config.layout):
        yield warn("tokens", "there are none, so nobody may submit", "edge token add NAME, or `edge pair` elsewhere")


def _has_tokens(layout: Layout) -> bool:
    return layout.tokens.exists() or layout.paired.exists()


def ledger(path: Path) -> Iterator[Finding]:
    """Check that the ledger can be opened, and that SQLite finds no damage in it."""
    from edge.ledger.reader import LedgerReader
    from edge.ledger.recovery import damage  # loaded on a board only

    try:
        if not path.exists():
            yield ok("ledger", f"{path} is not there yet; the gateway makes it")
            return
        with closing(LedgerReader.open(path)) as opened:
            jobs = opened.open_jobs
        why = damage.damage(path, limit_s=_CHECK_S)
        odd = [] if why else damage.rot(path, limit_s=_CHECK_S)
    except (EdgeError, OSError) as err:
        advice = "if this user may read it, stop the gateway and restore it, or set it aside: results stay as they are"
        yield fail("ledger", str(err), advice)
        return
    if why:
        advice = "restart the gateway: it sets the ledger aside and rebuilds it from all that can be read"
        yield fail("ledger", f"{path} is damaged: {why}", advice)
    elif odd:
        advice = "restart the gateway: it repairs them; those of their jobs that have no result run once more"
        yield warn("ledger", f"{path}, {jobs} open jobs; damaged rows: {'; '.join(odd)}", advice)
    else:
        yield ok("ledger", f"{path}, {jobs} open jobs")


def schedules(path: Path) -> Iterator[Finding]:
    """Report the number of schedules. It is a warning if the clock, which they depend on, cannot be trusted."""
    from edge.core.clock import trusted_now
    from edge.ledger.reader import LedgerReader  # loaded on a board only

    try:
        if not path.exists():
            return
        with closing(LedgerReader.open(path)) as opened:
            active, idle = opened.schedules.counts()
    except (EdgeError, OSError):
        return  # the check of the ledger reports this
    if active + idle == 0:
        return
    text = f"{active} active, {idle} paused or never due"
    if trusted_now() is None:
        advice = "connect it to a time server; until then no slot runs, but none is lost"
        yield warn("schedules", f"{text}; the board does not know the time", advice)
    else:
        yield ok("schedules", text)


def set_aside(root: Path) -> Iterator[Finding]:
    """Report each broken ledger that was replaced, until a person has looked at it and moved it away."""
    from edge.ledger.recovery import rebuild  # loaded on a board only

    for folder, why in rebuild.notes(root):
        yield warn(folder, why, f"once you have seen what is missing: mv {root / folder} away")


def stores(folders: Iterable[Path]) -> Iterator[Finding]:
    """Report the broker's stores that were set aside. They use disk space, and only a person may remove them."""
    for folder in folders:
        try:
            kept = sorted(path for path in folder.iterdir() if _ASIDE.search(path.name))
        except OSError:
            continue  # there is no such broker here, or this user may not read its folder
        if kept:
            names = ", ".join(path.name for path in kept)
            text = f"{len(kept)} set aside in {folder} because they did not work any more: {names}"
            content = "the gateway has published its jobs again; only messages of plain Celery are in there"
            yield warn("broker's store", text, f"{content}. To remove: rm -r {' '.join(map(str, kept))}")


def _may_make(path: Path) -> bool:
    parent = path.parent
    while not parent.exists() and parent != parent.parent:
        parent = parent.parent
    return os.access(parent, os.W_OK | os.X_OK)
