"""`edge token`: who on the LAN may do what; works on the board's own token file."""

from __future__ import annotations

import click

from edge.cli import output
from edge.cli.session import Session, common, pass_session

_SCOPES = ["submit", "read", "admin", "node"]
_MEANING = (
    "submit (its own jobs), read (all jobs), admin (all), node (a board that works for this one); may be repeated."
)


@click.group()
def token() -> None:
    """Give, change and revoke access from the LAN; run on the board itself, by who may write its state."""


@token.command()
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice(_SCOPES),
    metavar="SCOPE",
    help=f"{_MEANING} [default: submit]",
)
@common
@pass_session
def add(session: Session, *, name: str, scopes: tuple[str, ...]) -> int:
    """Make a token for NAME and print it: the only time it can be seen."""
    from edge.access.tokens import Scope, Tokens  # the board's side; the client has no need of it

    store = Tokens(session.board().config.layout.tokens)
    chosen = [Scope(scope) for scope in scopes or ("submit",)]
    secret = store.add(name, chosen)
    if session.as_json:
        output.document({"name": name, "scopes": chosen, "token": secret})
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
    """Change what the token of NAME may do, from its next request on; the token itself stays."""
    from edge.access.tokens import Scope, Tokens  # as above

    chosen = [Scope(scope) for scope in scopes]
    Tokens(session.board().config.layout.tokens).allow(name, chosen)
    if session.as_json:
        output.document({"name": name, "scopes": chosen})
    else:
        click.echo(f"token {name!r} may {', '.join(chosen)}")
    return 0


@token.command("list")
@common
@pass_session
def list_tokens(session: Session) -> int:
    """List who has a token and what for."""
    from edge.access.tokens import Tokens  # as above

    tokens = Tokens(session.board().config.layout.tokens).list()
    if session.as_json:
        output.document([{"name": t.name, "scopes": t.scopes, "created_at": t.created_at} for t in tokens])
    elif tokens:
        rows = [(t.name, ", ".join(t.scopes), output.when(t.created_at)) for t in tokens]
        output.table(("NAME", "SCOPES", "MADE"), rows)
    else:
        output.note("no tokens; `edge token add NAME` makes one")
    return 0


@token.command()
@click.argument("name")
@common
@pass_session
def revoke(session: Session, *, name: str) -> int:
    """Take the token of NAME back; the gateway refuses it from its next request on."""
    from edge.access.tokens import Tokens  # as above

    Tokens(session.board().config.layout.tokens).revoke(name)
    output.document({"name": name, "revoked": True}) if session.as_json else click.echo(f"token {name!r} revoked")
    return 0
