"""`edge pair`: this machine asks a board to let it in, and keeps the token and the certificate."""

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


@click.command(short_help="Ask a board to let this machine in; the owner confirms a code there.")
@click.argument("board", metavar="[URL|HOST]", required=False)
@click.option("--name", metavar="NAME", help="What the board is to call this machine. [default: its host name]")
@click.option(
    "--button",
    is_flag=True,
    help="Accept that the board's button is held down in place of the code. Nobody compares the certificate then.",
)
@common
@pass_session
def pair(session: Session, *, board: str | None, name: str | None, button: bool) -> int:
    """Show a code, wait until the owner has confirmed it on the board, and keep token and certificate.

    \b
    edge pair raspberrypi.local              # here
    sudo edge token approve 7KQ4-M2XD        # on the board

    A HOST alone means https://HOST:8420. The code depends on the certificate that this machine sees: the board knows it
    only if nobody is between them. From then on that certificate alone is trusted for the board.
    """
    import edge.client.pairing as asking  # only here
    from edge.client.settings import Settings, checked_url

    session.url = _address(board) if board else session.url
    # Only the address is taken from before: the old token or certificate may be what is wrong.
    found = checked_url(session.url) if session.url else Settings.find().url
    called = name or own_name()
    folder = config_folder()
    _make_folder(folder)
    with tempfile.TemporaryDirectory(prefix=".pair-", dir=folder) as spare:
        settings = Settings(found)
        if urlsplit(found).scheme == "https":
            certificate = Path(spare) / "certificate.pem"
            certificate.write_text(_certificate(found, guessed=board is not None and "://" not in board))
            settings = Settings(found, certificate=certificate, paired=True)
        elif urlsplit(found).hostname not in {"127.0.0.1", "localhost", "::1"}:
            output.note(f"{found} is plain HTTP: whoever listens on this network can read the token")
        paired = asking.pair(
            settings, called, show=lambda code, left_s: _show(session, found, code, left_s), by_button=button
        )
        written = _keep(folder, settings, paired)
    if session.as_json:
        output.document({"name": paired.name, "scopes": paired.scopes, "url": found, "written": written})
    else:
        output.note(f"paired: the board calls this machine {paired.name!r}, which may {', '.join(paired.scopes)}")
        if written.name == "client.yaml":
            output.note(f"{written} leads there; try: edge status")
        else:
            output.note(f"another board stands in client.yaml; for this one: export EDGE_CLIENT_CONFIG={written}")
    return 0


def _address(text: str) -> str:
    """The URL that a person means by a URL or by the name of a host. Raises UsageError."""
    if "://" in text:
        return text
    host, _, port = text.rpartition(":") if text.count(":") == 1 else (text, "", "")
    if not host or "/" in text or (port and not (port.isascii() and port.isdigit())):
        raise UsageError(f"board {text[:80]!r}: a URL such as https://raspberrypi.local:{_PORT}, or a HOST[:PORT]")
    return f"https://{f'[{host}]' if ':' in host else host}:{port or _PORT}"


def _certificate(url: str, *, guessed: bool) -> str:
    """PEM of what is shown at `url`. Raises Unreachable."""
    from edge.client.pairing import certificate_of
    from edge.core.errors import Unreachable

    try:
        return certificate_of(url)
    except Unreachable as err:
        if guessed:  # HTTP is never tried by itself: an attacker between could bring that about
            err.add_note(f"a board without a certificate: edge pair {url.replace('https:', 'http:', 1)}")
        raise


def _show(session: Session, url: str, code: Code, left_s: float) -> None:
    if session.as_json:
        output.document({"code": str(code), "url": url, "expires_s": left_s})
        return
    click.echo(str(code))
    output.note(f"On the board, within {duration(left_s)}, if that is the code: edge token approve {code}")
    output.note("(with sudo where the board is an appliance), or the page of an admin. Waiting; Ctrl-C gives up.")


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as err:
        raise UsageError(f"{folder}: {err.strerror or err}") from err


def _keep(folder: Path, settings: Settings, paired: Paired) -> Path:
    """Write token, certificate and the file that names them; returns the latter.

    That file is `client.yaml`, unless this leads to another board already; then it is called as the board.
    """
    parts = urlsplit(settings.url)
    board = f"{(parts.hostname or 'board').replace(':', '-')}-{parts.port or 443}"
    _write(folder / f"{board}.token", f"{paired.token}\n")
    keys = {"url": settings.url, "token_file": f"{board}.token"}
    if settings.certificate is not None:
        _write(folder / f"{board}-certificate.pem", settings.certificate.read_text())
        keys["certificate"] = f"{board}-certificate.pem"
    from edge.client.settings import url_in

    target, kept = folder / "client.yaml", dict[str, object]()
    if target.exists():
        kept = _of_file(target)
        if url_in(target) != settings.url:
            target, kept = folder / f"{board}.yaml", {}
    tree = {key: value for key, value in kept.items() if key not in {"token", "ca_file"}} | keys
    if tree != kept:
        import yaml  # only now

        _write(target, yaml.safe_dump(tree, sort_keys=False))
    return target


def _of_file(path: Path) -> dict[str, object]:
    """What a client.yaml says; nothing where it cannot be read, so that it is left as it is."""
    import yaml  # as above

    try:
        tree: object = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError, ValueError, RecursionError):
        return {}
    return {str(key): value for key, value in tree.items()} if isinstance(tree, dict) else {}


def _write(path: Path, text: str) -> None:
    """Replace a file that nobody else may read."""
    temp = path.with_name(f".{path.name}.new")
    temp.unlink(missing_ok=True)
    fd = os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(fd, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temp.replace(path)
