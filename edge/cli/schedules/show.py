"""`edge schedule list` and `edge schedule show`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from edge.cli import output
from edge.cli.session import Session, common, pass_session

if TYPE_CHECKING:
    from edge.wire import ScheduleView, SlotView


@click.command("list")
@common
@pass_session
def list_schedules(session: Session) -> int:
    """List the schedules, sorted by name. With --json there is one document a line."""
    with session.client() as client:
        found = client.schedules.list()
        if session.as_json:
            for each in found:
                output.document(each)
            return 0
        rows = ((each.name, each.task, each.sentence) for each in found)
        if not output.table(("NAME", "TASK", "WHEN"), rows):
            output.note("no schedules; `edge schedule add` makes one")
    return 0


@click.command()
@click.argument("name")
@common
@pass_session
def show(session: Session, *, name: str) -> int:
    """Show the schedule NAME. The output has its settings, its next five times and its last twenty slots."""
    with session.client() as client:
        view = client.schedules.get(name)
    if session.as_json:
        output.document(view)
        return 0
    click.echo(output.line(view.sentence))
    output.facts(facts(view))
    if view.next:
        click.echo("\nnext:")
        for text in view.next:
            click.echo(f"  {text}")
    if view.slots:
        click.echo()
        output.table(("SLOT", "", "JOB", "WHY"), map(_slot, view.slots))
    return 0


def facts(view: ScheduleView) -> list[tuple[str, str]]:
    """Return the settings of a schedule as names and values for people, without its next times."""
    words = [*map(_json, view.args), *(f"{name}={_json(value)}" for name, value in view.kwargs.items())]
    return [
        ("job", " ".join([view.task, *words])),
        ("power", view.power.value if view.power else ""),
        ("priority", "" if view.priority is None else str(view.priority)),
        ("retries", "" if view.retries is None else str(view.retries)),
        ("time limit", f"{view.time_limit_s:g} s" if view.time_limit_s else ""),
        ("deadline", f"{view.deadline_s:g} s" if view.deadline_s else ""),
        ("cron", view.cron or ""),
        ("missed", view.missed.value),
        ("within", f"{view.within_s:g} s" if view.within_s else ""),
        ("overlap", view.overlap.value),
        ("jitter", f"{view.jitter_s:g} s" if view.jitter_s else ""),
        ("submitter", view.submitter),
        ("waiting", view.waiting),
    ]


def _slot(slot: SlotView) -> tuple[str, str, str, str]:
    count = f"{slot.count}{'+' if slot.count >= 100 else ''} slots until {slot.until}" if slot.until else ""
    return slot.slot, slot.fate.value, slot.job, "; ".join(filter(None, (count, slot.reason)))


def _json(value: object) -> str:
    import msgspec  # imported here, so that --help does not load it

    return msgspec.json.encode(value).decode()
