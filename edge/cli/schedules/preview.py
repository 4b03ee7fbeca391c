"""`edge schedule next` shows the next times of a cron expression. It contacts no board and makes no schedule."""

from __future__ import annotations

import time

import click

from edge.cli import output
from edge.cli.session import Session, common, pass_session

_COUNT = 5


@click.command("next")
@click.argument("cron", nargs=-1, required=True, metavar="CRON")
@click.option("--timezone", metavar="ZONE", help="IANA name, such as Europe/Berlin  [default: this machine's]")
@click.option("--from", "start", metavar="TIME", help="The times after this one (RFC 3339)  [default: now]")
@common
@pass_session
def next_times(session: Session, *, cron: tuple[str, ...], timezone: str | None, start: str | None) -> int:
    """Show the next five times of CRON. CRON is five fields in quotes, or a name such as @daily.

    A TIME without an offset is a local time in ZONE.

    \b
    edge schedule next "30 2 * * *" --timezone Europe/Berlin --from 2026-03-28T00:00:00Z
    """
    # `cronsim` and the rules of time zones are loaded for this command only.
    from edge.core import rfc3339
    from edge.schedule import words
    from edge.schedule.cron import Cron, times
    from edge.schedule.zone import board_zone, zone

    rules = zone(board_zone() if timezone is None else timezone)
    schedule = Cron(" ".join(cron), rules)
    after = time.time() if start is None else rfc3339.parsed(start, name="--from", zone=rules).timestamp()
    found = [rfc3339.text_of(at, rules) for at in times(schedule, after, _COUNT)]
    if session.as_json:
        output.document({"next": found})
        return 0
    click.echo(f"{words.of_cron(schedule)} ({rules.key}); next:")
    for text in found:
        click.echo(f"  {text}")
    if not found:
        click.echo("  never: there is no such time within 50 years")
    return 0
