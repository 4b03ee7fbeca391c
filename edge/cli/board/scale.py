"""`edge scale` shows how many workers of each scaled entry run and why, and sets a count by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from edge.cli import output
from edge.cli.board.power import Duration
from edge.cli.session import Session, common, pass_session
from edge.core.errors import UsageError
from edge.core.text import duration

if TYPE_CHECKING:
    from edge.config import Config, WorkerEntry
    from edge.model import ScaledWorkers

_AUTO = "auto"


@click.command()
@click.argument("name", required=False)
@click.argument("count", required=False)
@click.option(
    "--for", "for_s", type=Duration(), metavar="TIME", help="How long COUNT holds, such as 20m, 1h, 3d. [default: 1h]"
)
@common
@pass_session
def scale(session: Session, *, name: str | None, count: str | None, for_s: float | None) -> int:
    """Show how many workers are wanted, how many run, and why. With COUNT, set how many of NAME run for some time.

    The board may run fewer workers than COUNT, for example if memory or power is low. The count survives restarts and
    power cuts, and ends after its time. `auto` removes it. NAME is the name of a scaled entry of `workers` in
    edge.yaml.
    """
    config = session.board().config
    if name is None:
        if not config.scaled:
            raise UsageError("no worker is scaled: an entry of `workers` in edge.yaml needs `max`, a number or auto")
        _show(session, config, None)
        return 0
    entry = _entry(config, name)
    if count is None:
        if for_s is not None:
            raise UsageError("--for needs a count: edge scale NAME COUNT --for TIME")
        _show(session, config, entry)
        return 0
    _set(session, config, entry, count, for_s)
    return 0


def _entry(config: Config, name: str) -> WorkerEntry:
    """Return the scaled entry with this name. Raises UsageError."""
    for entry in config.scaled:
        if entry.name == name:
            return entry
    known = ", ".join(entry.name for entry in config.scaled)
    hint = f"one of {known}" if known else "no entry of `workers` in edge.yaml has `max`"
    raise UsageError(f"worker {name!r} is not scaled: {hint}")


def _set(session: Session, config: Config, entry: WorkerEntry, count: str, for_s: float | None) -> None:
    from edge.power.workers import by_hand  # loaded on a board only

    path = config.layout.scale_by_hand
    if count == _AUTO:
        if for_s is not None:
            raise UsageError("--for cannot be used with auto, which holds until a count is set")
        was = by_hand.take_away(path, entry.name)
        if session.as_json:
            output.document({"name": entry.name, "count": None, "for_s": None})
        else:
            output.note(f"{entry.name} is scaled automatically" + ("" if was else "; no count was set"))
        return
    if not (count.isascii() and count.isdecimal()) or not entry.min <= int(count) <= entry.most:
        raise UsageError(f"count {count!r} of {entry.name}: expected {entry.min} to {entry.most}, or auto")
    for_s = 3600.0 if for_s is None else for_s
    by_hand.put(path, entry.name, int(count), for_s=for_s)
    if session.as_json:
        output.document({"name": entry.name, "count": int(count), "for_s": for_s})
    else:
        output.note(f"{entry.name}: {int(count)} for {duration(for_s, fine=True)}, as far as the board allows")


def _show(session: Session, config: Config, entry: WorkerEntry | None) -> None:
    shown = [each for each in _scaled_workers(config) if entry is None or each.name == entry.name]
    if session.as_json:
        output.document(shown)
        return
    if not shown:
        raise UsageError("there is no decision yet: `edge power` has not run since this boot")
    for number, each in enumerate(shown):
        if number:
            click.echo()
        failing = f", {len(each.failing)} of them crash again and again" if each.failing else ""
        output.facts(
            [
                ("worker", each.name),
                ("wanted", str(each.wanted)),
                ("running", f"{each.running}{failing}"),
                ("why", each.why),
                ("by hand", output.when(each.until) and f"until {output.when(each.until)}"),
            ]
        )
        for step in each.steps:
            click.echo(output.line(f"  {output.when(step.at) or f'{step.at:.0f}'}  {step.why}"))


def _scaled_workers(config: Config) -> tuple[ScaledWorkers, ...]:
    """Return the governor's last decision in this boot for each scaled entry, or nothing if it has not decided."""
    from edge.power.workers.decided import decided  # loaded on a board only
    from edge.power.workers.living import living

    status, found = decided(config.layout.scaling), living(config.layout)
    return () if status is None else tuple(entry.seen(found) for entry in status.entries)
