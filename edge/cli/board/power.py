"""`edge power`, `edge pause` and `edge resume`: run the governor, look at power, and pause the board."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from edge.cli import output
from edge.cli.board.calibrate import calibrate
from edge.cli.board.services import entry
from edge.cli.board.statement import statement
from edge.cli.number import Number
from edge.cli.session import Session, common, pass_session
from edge.core.errors import StorageError, UsageError, not_none
from edge.core.text import duration, seconds

_LONGEST_S = 366 * 86_400


class Duration(click.ParamType):  # type: ignore[type-arg] # generic only since click 8.4
    """Accepts a duration such as `90`, `30s`, `20m`, `2h`, `1h30m` or `3d`, from one second to a year."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return `value` in seconds."""
        found = seconds(str(value))
        if found is None:
            self.fail(f"{value!r} is not a duration such as 30s, 20m, 2h, 1h30m or 3d", param, ctx)
        if not 1 <= found <= _LONGEST_S:
            self.fail(f"{value!r} is not between one second and a year", param, ctx)
        return found


@contextmanager
def _written(path: Path) -> Iterator[None]:
    """Turn an OSError into a StorageError that names the file, for a full or read-only card."""
    try:
        yield
    except OSError as err:
        raise StorageError(f"cannot write {path}", err) from err


@click.group(invoke_without_command=True)
@common
@click.pass_context
def power(ctx: click.Context) -> int:
    """Run the governor, which reads the power sources and decides what may run. Its commands show and test power."""
    if ctx.invoked_subcommand is not None:
        return 0
    session: Session = ctx.obj
    return int(entry("edge.power.governor.main", "power")(session.board()) or 0)


@power.command(short_help="Show the power state, its reason and all readings.")
@common
@pass_session
def show(session: Session) -> int:
    """Show the power state, its reason and all readings, with the rule that ends it and the age of each reading."""
    from edge.power import status  # loaded on a board only

    found = status.aged(status.read(session.board().config.layout.power))
    if session.as_json:
        output.document(found)
        return 0
    output.facts(
        [
            ("state", found.state),
            ("why", found.reason),
            ("until", found.until),
            ("expected", output.when(found.resumes_at)),
            ("since", output.when(found.since)),
            *output.plan(found.plan),
        ]
    )
    if found.readings:
        click.echo()
        output.readings(found.readings)
    return 0


@power.command()
@common
@pass_session
def probe(session: Session) -> int:
    """Find the power sources of this board. The output is configuration to paste into edge.yaml."""
    from edge.power.probe import as_yaml
    from edge.power.probe import probe as look  # loaded on a board only
    from edge.power.sleep import means

    config = session.board().config
    finds = look(config.layout)
    if session.as_json:
        output.document(finds)
        return 0
    click.echo(as_yaml(finds), nl=False)
    click.echo(f"# {means.found(config.power.critical.wakealarm)}")
    return 0


@power.command()
@click.argument("file", required=False, type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--days", type=click.IntRange(1, 366), metavar="N", help="In place of FILE: the last N days, with the plan."
)
@click.option(
    "--battery",
    type=Number(1, 10_000),
    metavar="%",
    help="With --days: size of the battery, in percent of the present one; 120 is a larger one.",
)
@click.option(
    "--panel", type=Number(1, 10_000), metavar="%", help="With --days: watts of the panel, in percent of the present."
)
@common
@pass_session
def replay(session: Session, *, file: Path | None, days: int | None, battery: float | None, panel: float | None) -> int:
    """Run recorded readings through the configured policy. Show when it pauses and resumes, and why.

    FILE has lines of JSON. The governor keeps the last day in /run/edge/governor/history.jsonl. With --days, the last
    days are computed again under the planner with another battery or panel. The command then shows how many more or
    fewer jobs would have ended.
    """
    if (file is None) == (days is None):
        raise UsageError("name a FILE of samples, or --days")
    if days is None and (battery is not None or panel is not None):
        raise UsageError("--battery and --panel need --days")
    if days is not None:
        from edge.cli.board import whatif  # only loaded for --days

        compared = whatif.compare(
            session.board().config, days=days, battery=(battery or 100.0) / 100, panel=(panel or 100.0) / 100
        )
        output.document(compared) if session.as_json else whatif.show(compared)
        return 0
    from edge.power.governor import history
    from edge.power.governor.replay import replay as run  # loaded on a board only

    file = not_none(file, "a file")
    changes = list(run(session.board().config.power, history.read(file)))
    if session.as_json:
        output.document(changes)
        return 0
    for change in changes:
        when = output.when(change.at) or f"{change.now:.0f} s"
        lasted = f" (after {duration(change.lasted_s, fine=True)})" if change.lasted_s else ""
        click.echo(output.line(f"{when}  {change.state}{lasted}: {change.reason}; until {change.until}"))
    if not changes:
        output.note(f"{file} holds no samples")
    return 0


@power.command()
@click.argument("state", type=click.Choice(["surplus", "normal", "low", "critical", "unknown", "off"]))
@common
@pass_session
def simulate(session: Session, *, state: str) -> int:
    """Make the simulated source report STATE from now on. STATE `off` returns to the configured values."""
    from edge.power.simulate import simulate as play  # loaded on a board only

    config = session.board().config
    critical = config.power.critical
    if state == "critical" and critical.action == "poweroff" and not critical.dry_run and sys.stdin.isatty():
        click.confirm("this powers this machine off (power.critical.dry_run is false); go on?", abort=True, err=True)
    with _written(config.layout.simulated):
        play(config.power, config.layout, None if state == "off" else state)
    output.document({"simulated": state}) if session.as_json else output.note(f"simulated power: {state}")
    return 0


power.add_command(statement)
power.add_command(calibrate)


@click.command()
@click.option(
    "--for", "for_s", type=Duration(), metavar="TIME", help="Such as 30s, 20m, 2h, 3d. [default: until resumed]"
)
@common
@pass_session
def pause(session: Session, *, for_s: float | None) -> int:
    """Start nothing new on this board until `edge resume`, or for some time. Restarts and power cuts do not end it."""
    from edge.power.governor.pause import set_pause  # loaded on a board only

    path = session.board().config.layout.pause
    with _written(path):
        set_pause(path, for_s=for_s)
    if session.as_json:
        output.document({"paused": True, "for_s": for_s})
    else:
        output.note(f"paused for {duration(for_s, fine=True)}" if for_s else "paused until `edge resume`")
    return 0


@click.command()
@common
@pass_session
def resume(session: Session) -> int:
    """End a pause. Jobs then run as far as power allows."""
    from edge.power.governor.pause import clear  # loaded on a board only

    was = clear(session.board().config.layout.pause)
    if session.as_json:
        output.document({"paused": False, "was_paused": was})
    else:
        output.note("resumed" if was else "was not paused")
    return 0
