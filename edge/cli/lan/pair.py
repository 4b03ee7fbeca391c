"""`edge pair` asks a board for access from this machine, and stores the token and the board's certificate."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click

from edge.cli import output
from edge.cli.lan.machine import config_folder, own_name
from edge.cli.session import Session, common, pass_session
from edge.core.errors import UsageError
from edge.core.text import duration

if TYPE_CHECKING:
    from edge.client.pairing import Paired
    from edge.client.settings import Settings
    from edge.model.pairing import Code

_PORT = 8420


@click.command(short_help="Ask a board for access from this machine; the owner confirms a code there.")
@click.argument("board", metavar="[URL|HOST]", required=False)
@click.option("--name", metavar="NAME", help="Name of this machine at the board. [default: its host name]")
@click.option(
    "--button",
    is_flag=True,
    help="Accept that the owner holds the board's button instead of typing the code. This compares no certificates.",
)
@common
@pass_session
def pair(session: Session, *, board: str | None, name: str | None, button: bool) -> int:
    """Show a code, wait until the owner has confirmed it on the board, and store token and certificate.

    \b
    edge pair raspberrypi.local              # here
    sudo edge token approve 7KQ4-M2XD        # on the board

    A HOST alone means https://HOST:8420. The code depends on the certificate that this machine sees, so the board knows
    the code only if nobody intercepts the connection. From then on, this machine trusts only that certificate for the
    board.
    """
    import edge.client.pairing as pairing  # loads HTTP
    from edge.client.settings import Settings, checked_url

    session.url = _address(board) if board else session.url
    # Only the address is read from the client's files: their token or certificate may be wrong.
    url = checked_url(session.url) if session.url else Settings.find().url
    machine = name or own_name()
    folder = config_folder()
    _make_folder(folder)
    with tempfile.TemporaryDirectory(prefix=".pair-", dir=folder) as spare:
        settings = Settings(url)
        if urlsplit(url).scheme == "https":
            certificate = Path(spare) / "certificate.pem"
            certificate.write_text(_certificate(url, guessed=board is not None and "://" not in board))
            settings = Settings(url, certificate=certificate, paired=True)
        elif urlsplit(url).hostname not in {"127.0.0.1", "localhost", "::1"}:
            output.note(f"{url} is plain HTTP: anybody who listens on this network can read the token")
        paired = pairing.pair(
            settings, machine, show=lambda code, left_s: _show(session, url, code, left_s), by_button=button
        )
        written = _store(folder, settings, paired)
    if session.as_json:
        output.document({"name": paired.name, "scopes": paired.scopes, "url": url, "written": written})
    else:
        output.note(f"paired: the board calls this machine {paired.name!r}, which may {', '.join(paired.scopes)}")
        if written.name == "client.yaml":
            output.note(f"{written} names this board now; try: edge status")
        else:
            output.note(f"client.yaml names another board; to use this one: export EDGE_CLIENT_CONFIG={written}")
    return 0


def _address(text: str) -> str:
    """Return the URL that a person means by a URL or by HOST[:PORT]. Raises UsageError."""
    if "://" in text:
        return text
    host, _, port = text.rpartition(":") if text.count(":") == 1 else (text, "", "")
    if not host or "/" in text or (port and not (port.isascii() and port.isdigit())):
        expected = f"expected a URL such as https://raspberrypi.local:{_PORT}, or HOST[:PORT]"
        raise UsageError(f"board {text[:80]!r}: {expected}")
    return f"https://{f'[{host}]' if ':' in host else host}:{port or _PORT}"


def _certificate(url: str, *, guessed: bool) -> str:
    """Return the certificate that the server at `url` shows, as PEM. Raises Unreachable.

    `guessed` is True if a person named only a host, so that https is an assumption.
    """
    from edge.client.pairing import certificate_of
    from edge.core.errors import Unreachable

    try:
        return certificate_of(url)
    except Unreachable as err:
        if guessed:  # HTTP is never tried automatically: an attacker in the network could provoke that
            err.add_note(f"if the board has no certificate: edge pair {url.replace('https:', 'http:', 1)}")
        raise


def _show(session: Session, url: str, code: Code, left_s: float) -> None:
    if session.as_json:
        output.document({"code": str(code), "url": url, "expires_s": left_s})
        return
    click.echo(str(code))
    output.note(f"To confirm this code, run on the board within {duration(left_s)}: edge token approve {code}")
    output.note("(with sudo on an appliance), or let an admin type it on their page. Waiting; Ctrl-C gives up.")


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as err:
        raise UsageError(f"{folder}: {err.strerror or err}") from err


def _store(folder: Path, settings: Settings, paired: Paired) -> Path:
    """Write the token, the certificate and a settings file that names them. Return the path of the settings file.

    This is `client.yaml`, unless that file names another board. Then it has the name of the board.
    """
    parts = urlsplit(settings.url)
    board = f"{(parts.hostname or 'board').replace(':', '-')}-{parts.port or 443}"
    _write(folder / f"{board}.token", f"{paired.token}\n")
    keys = {"url": settings.url, "token_file": f"{board}.token"}
    if settings.certificate is not None:
        _write(folder / f"{board}-certificate.pem", settings.certificate.read_text())
        keys["certificate"] = f"{board}-certificate.pem"
    from edge.client.settings import url_in

    target, present = folder / "client.yaml", dict[str, object]()
    if target.exists():
        present = _content(target)
        if url_in(target) != settings.url:
            target, present = folder / f"{board}.yaml", {}
    tree = {key: value for key, value in present.items() if key not in {"token", "ca_file"}} | keys
    if tree != present:
        import yaml  # only loaded if there is something to write

        _write(target, yaml.safe_dump(tree, sort_keys=False))
    return target


def _content(path: Path) -> dict[str, object]:
    """Return the keys of a client.yaml, or nothing if it cannot be read. `_store` does not change such a file."""
    import yaml

    try:
        tree: object = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError, ValueError, RecursionError):
        return {}
    return {str(key): value for key, value in tree.items()} if isinstance(tree, dict) else {}


def _write(path: Path, text: str) -> None:
    """Write or replace a file in one step. Only this user may read it."""
    temp = path.with_name(f".{path.name}.new")
    temp.unlink(missing_ok=True)
    fd = os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(fd, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temp.replace(path)
