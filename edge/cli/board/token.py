"""`edge token` gives, changes and revokes access from the LAN. It works on the board's own token files."""

from __future__ import annotations

import io
import platform
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from edge.cli import output
from edge.cli.session import Session, common, pass_session
from edge.core.errors import UsageError
from edge.core.text import duration

if TYPE_CHECKING:
    from edge.access.tokens import Tokens
    from edge.config import Config

_SCOPES = ["submit", "read", "run", "admin", "node"]
_MEANING = (
    "submit (its own jobs), read (all jobs), run (its own jobs, and programs that need this scope), admin (all), node "
    "(a board that works for this one); may be repeated."
)
_scopes = click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice(_SCOPES),
    metavar="SCOPE",
    help=f"{_MEANING} [default: submit]",
)


@click.group()
def token() -> None:
    """Give, change and revoke access from the LAN. Run this on the board, as a user who may write its state."""


@token.command()
@click.argument("name")
@_scopes
@click.option("--qr", is_flag=True, help="Also print a QR code, with which a phone opens the board's page and logs in.")
@common
@pass_session
def add(session: Session, *, name: str, scopes: tuple[str, ...], qr: bool) -> int:
    """Make a token for NAME and print it. It is never shown again."""
    from edge.access.tokens import Scope  # loaded on a board only

    config = session.board().config
    chosen = [Scope(scope) for scope in scopes or ("submit",)]
    draw = _qr() if qr else None  # before the token is made, because the library may be missing
    secret = _tokens(config).add(name, chosen)
    url = session.url or _page_url(config)
    if session.as_json:
        output.document(
            {"name": name, "scopes": chosen, "token": secret} | ({"page": _link(url, secret)} if qr else {})
        )
    elif draw is not None:
        click.echo(draw(_link(url, secret)))
        click.echo(secret)
        output.note(f"token {name!r} may {', '.join(chosen)}; it is not shown again. The code opens {url} with it.")
    else:
        click.echo(secret)
        output.note(f"token {name!r} may {', '.join(chosen)}; it is not shown again. On the other machine:")
        output.note("  mkdir -p ~/.config/edge && umask 077 && cat > ~/.config/edge/token   (paste it, Ctrl-D)")
        output.note("  export EDGE_TOKEN_FILE=~/.config/edge/token EDGE_URL=http://THIS-BOARD:8420")
    return 0


@token.command()
@click.argument("name")
@click.option(
    "--scope", "scopes", multiple=True, required=True, type=click.Choice(_SCOPES), metavar="SCOPE", help=_MEANING
)
@common
@pass_session
def allow(session: Session, *, name: str, scopes: tuple[str, ...]) -> int:
    """Change the scopes of the token NAME. They count from its next request on. The token itself stays the same."""
    from edge.access.tokens import Scope  # loaded on a board only

    chosen = [Scope(scope) for scope in scopes]
    _tokens(session.board().config).allow(name, chosen)
    if session.as_json:
        output.document({"name": name, "scopes": chosen})
    else:
        click.echo(f"token {name!r} may {', '.join(chosen)}")
    return 0


@token.command("list")
@common
@pass_session
def list_tokens(session: Session) -> int:
    """List all tokens, sorted by name, with their scopes."""
    tokens = _tokens(session.board().config).list()
    if session.as_json:
        output.document([{"name": t.name, "scopes": t.scopes, "created_at": t.created_at} for t in tokens])
    elif tokens:
        rows = [(t.name, ", ".join(t.scopes), output.when(t.created_at)) for t in tokens]
        output.table(("NAME", "SCOPES", "MADE"), rows)
    else:
        output.note("no tokens; `edge token add NAME` makes one")
    return 0


@token.command()
@common
@pass_session
def pending(session: Session) -> int:
    """List the requests for access from `edge pair` or the page. Only the screen of the visitor shows the code."""
    from edge.access import pairing  # loaded on a board only

    requests = pairing.read(session.board().config.layout.pairing)
    now = time.monotonic()
    if session.as_json:
        fields = ("name", "address")
        output.document(
            [
                {key: getattr(each, key) for key in fields} | {"page": each.here, "expires_s": each.until - now}
                for each in requests
            ]
        )
    elif requests:
        rows = [
            (each.name, each.address, "page" if each.here else "edge pair", duration(each.until - now))
            for each in requests
        ]
        output.table(("NAME", "ADDRESS", "BY", "LEFT"), rows)
        output.note("`edge token approve CODE` gives access to the screen that shows CODE")
    else:
        output.note("nobody asks for access")
    return 0


@token.command()
@click.argument("code")
@_scopes
@click.option("--name", metavar="NAME", help="Name of the token. [default: the name in the request]")
@click.option("--replace", is_flag=True, help="Revoke the old token of that name, for a machine that is paired again.")
@common
@pass_session
def approve(session: Session, *, code: str, scopes: tuple[str, ...], name: str | None, replace: bool) -> int:
    """Give access to the machine or browser that shows CODE now. Its token is valid from its next request on.

    A code is valid for 5 minutes and can be confirmed once. With `edge pair`, the board knows the code only if nobody
    intercepts the connection between that machine and this board.
    """
    from edge.access import pairing  # loaded on a board only
    from edge.access.tokens import Scope
    from edge.model.pairing import typed

    config = session.board().config
    chosen = [Scope(scope) for scope in scopes or ("submit",)]
    made, request = pairing.approve(
        config.layout.pairing, _tokens(config), typed(code), chosen, name=name or "", replace=replace
    )
    if session.as_json:
        output.document({"name": made.name, "scopes": made.scopes, "address": request.address, "page": request.here})
    else:
        what = "a browser at" if request.here else "a machine at"
        click.echo(f"{what} {request.address} has access now: token {made.name!r} may {', '.join(made.scopes)}")
        if request.here:
            output.note("a browser compares no certificates; if in doubt, compare the fingerprint that the page shows")
    return 0


@token.command()
@click.argument("name")
@common
@pass_session
def revoke(session: Session, *, name: str) -> int:
    """Revoke the token NAME. The gateway refuses it from its next request on."""
    _tokens(session.board().config).revoke(name)
    output.document({"name": name, "revoked": True}) if session.as_json else click.echo(f"token {name!r} revoked")
    return 0


def _tokens(config: Config) -> Tokens:
    from edge.access.tokens import Tokens  # loaded on a board only

    return Tokens(config.layout.tokens, paired=config.layout.paired)


def _page_url(config: Config) -> str:
    """Return the address at which a phone on the LAN probably reaches the page: this board's name in mDNS."""
    gateway = config.gateway
    local = gateway.host in {"127.0.0.1", "::1", "localhost"}
    host = "127.0.0.1" if local else f"{platform.node().partition('.')[0]}.local"
    return f"{gateway.scheme}://{host}:{gateway.port}"


def _link(url: str, secret: str) -> str:
    """Return the address of the login with the token behind `#`, a part that browsers never send."""
    return f"{url.rstrip('/')}/login#{secret}"


def _qr() -> Callable[[str], str]:
    """Return a function that draws a text as QR code for a terminal. Raises UsageError if segno is not installed."""
    try:
        import segno  # optional, and loaded for --qr only
    except ImportError as err:
        raise UsageError("--qr needs segno: pip install segno") from err

    def draw(text: str) -> str:
        drawn = io.StringIO()
        segno.make(text, error="l", micro=False).terminal(drawn, compact=True)
        return drawn.getvalue().rstrip("\n")

    return draw
