"""`edge schedule next`: shows when a cron expression would be due. It asks no board and makes nothing."""

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
    """Show the next five times of CRON: five fields in quotes, or a name such as @daily.

    A TIME without an offset is one on the local clock of ZONE.

    \b
    edge schedule next "30 2 * * *" --timezone Europe/Berlin --from 2026-03-28T00:00:00Z
    """
    # `cronsim` and the rules of a zone are for this command alone.
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
        click.echo("  never: such a time does not come within 50 years")
    return 0
