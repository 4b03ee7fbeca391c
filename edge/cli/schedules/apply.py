"""`edge schedule apply`: brings the schedules of a board to what a file says."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge.cli import output
from edge.cli.session import Session, common, pass_session
from edge.core.errors import ConfigError, EdgeError, UsageError

if TYPE_CHECKING:
    from edge.client import Client
    from edge.model import InputFile, Schedule
    from edge.wire import ScheduleView

_MOST_BYTES = 16 << 20
_MOST_VALUES = 2_000_000  # an alias counts each time: a file of 1 kB can mean 10^9 values


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, allow_dash=True))
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--check", is_flag=True, help="Only say what would change; exit 1 when something would.")
@click.option("--prune", is_flag=True, help="Remove the schedules that the file does not name.")
@common
@pass_session
def apply(session: Session, *, file: Path, yes: bool, check: bool, prune: bool) -> int:
    """Make and change the schedules that FILE names; first say what changes.

    FILE is YAML: a schedule's name, and below it what `PUT /v1/schedules/NAME` takes.

    \b
    nightly:
      task: solve
      args: [1, "What is 6 times 7?"]
      cron: "30 2 * * *"
    """
    wanted = _read(file)
    with session.client() as client:
        steps = _steps(client, wanted, prune=prune)
        if session.as_json and not steps:
            output.document({"changes": []})
        elif not steps:
            output.note("nothing to change")
        if check or not steps:
            if steps:
                _say(session, steps)
            return 1 if steps else 0
        if not session.as_json or not yes:
            _say(session, steps)
        if not yes and not _agreed():
            output.note("nothing was changed")
            return 1
        failed = 0
        for name, what, _ in steps:
            try:
                if what == "remove":
                    client.schedules.remove(name)
                else:
                    client.schedules.put(name, wanted[name])
            except EdgeError as err:
                if err.exit_code in (3, 5):
                    raise
                failed = failed or err.exit_code
                output.note(f"edge: {name}: {err}")
        if session.as_json:
            output.document({"changes": [{"name": name, "change": what} for name, what, _ in steps]})
        else:
            output.note(
                f"{len(steps)} schedule{'' if len(steps) == 1 else 's'} changed" if not failed else "not all done"
            )
    return failed


def _agreed() -> bool:
    if not sys.stdin.isatty():
        raise UsageError("nobody is here to agree; --yes changes without asking, --check only says what would change")
    return click.confirm("Change this?", err=True)


def _say(session: Session, steps: list[tuple[str, str, list[str]]]) -> None:
    if session.as_json:
        changes = [{"name": name, "change": what, "fields": fields} for name, what, fields in steps]
        output.document({"changes": changes})
        return
    for name, what, fields in steps:
        click.echo(f"{what} {name}" + (f": {'; '.join(fields)}" if fields else ""))


def _read(file: Path) -> dict[str, Schedule]:
    """The schedules in a file. Raises UsageError, naming the file, the schedule and what is wrong."""
    import msgspec  # with YAML: for this command alone

    from edge.config import tree as yaml_tree
    from edge.model import SCHEDULE_NAME_RULE, Schedule, is_schedule_name
    from edge.schedule.timetable import Timetable

    text = sys.stdin.buffer.read(_MOST_BYTES + 1) if str(file) == "-" else file.read_bytes()
    if len(text) > _MOST_BYTES:
        raise UsageError(f"{file}: more than {_MOST_BYTES >> 20} MiB")
    try:
        tree = yaml_tree.parsed(text, str(file), most_values=_MOST_VALUES)
    except ConfigError as err:
        raise UsageError(f"{file}: {err.allowed}") from err
    if not isinstance(tree, dict):
        raise UsageError(f"{file}: expected the names of schedules, each with its settings below it")
    found = dict[str, Schedule]()
    for name, settings in tree.items():
        if not isinstance(name, str) or not is_schedule_name(name):
            raise UsageError(f"{file}: schedule {str(name)[:80]!r}: {SCHEDULE_NAME_RULE}")
        try:
            found[name] = msgspec.convert(settings, Schedule)
            Timetable(found[name])
            _check_json(settings)
        except (msgspec.ValidationError, UsageError) as err:
            raise UsageError(f"{file}: schedule {name!r}: {err}") from err
    return found


def _check_json(value: object, place: str = "") -> None:
    """Raise UsageError for what YAML has and JSON has not; it would reach the board as something else."""
    if isinstance(value, dict):
        for key, each in value.items():
            if not isinstance(key, str):
                raise UsageError(f"{place}: key {key!s}: expected text; put quotes around it")
            _check_json(each, f"{place}.{key}".lstrip("."))
    elif isinstance(value, list):
        for number, each in enumerate(value):
            _check_json(each, f"{place}[{number}]")
    elif isinstance(value, float) and not math.isfinite(value):
        raise UsageError(f"{place}: {value}: JSON has no such number")
    elif not isinstance(value, str | int | float | None):
        raise UsageError(f"{place}: {str(value)[:80]}: a {type(value).__name__} is not JSON; put quotes around it")


def _steps(client: Client, wanted: dict[str, Schedule], *, prune: bool) -> list[tuple[str, str, list[str]]]:
    """(name, add, change or remove, the fields that change) of each schedule that is not as it is wanted."""
    known = {view.name: view for view in client.schedules.list()}
    steps = []
    for name, schedule in wanted.items():
        if name not in known:
            steps.append((name, "add", [_meaning(schedule)]))
        elif fields := _changed(known[name], schedule):
            steps.append((name, "change", fields))
    if prune:
        steps += [(name, "remove", []) for name in known if name not in wanted]
    return steps


def _changed(view: ScheduleView, wanted: Schedule) -> list[str]:
    changes = []
    for name in wanted.__struct_fields__:
        now, then = getattr(view, name), getattr(wanted, name)
        if name == "timezone" and then is None:
            continue  # the board's own: the schedule keeps the one that it got
        if name == "files" and _same_files(now, then):
            continue  # the board has filled in names and sizes
        if not _same(now, then):
            changes.append(f"{name} {_shown(now)} -> {_shown(then)}")
    return changes


def _same_files(now: dict[str, InputFile], then: dict[str, InputFile]) -> bool:
    """True when the jobs are given the same contents, under the names that are asked for."""
    return now.keys() == then.keys() and all(
        now[name].sha256 == file.sha256 and file.name in (None, now[name].name) for name, file in then.items()
    )


def _same(now: object, then: object) -> bool:
    """True when both mean the same to a task: 5 and 5.0 do, 1 and true do not, though Python takes them for equal."""
    if isinstance(now, dict) and isinstance(then, dict):
        return now.keys() == then.keys() and all(_same(each, then[name]) for name, each in now.items())
    if isinstance(now, list) and isinstance(then, list):
        return len(now) == len(then) and all(_same(*pair) for pair in zip(now, then, strict=True))
    return now == then and isinstance(now, bool) == isinstance(then, bool)


def _meaning(schedule: Schedule) -> str:
    from edge.schedule.timetable import Timetable  # for this command alone

    table = Timetable(schedule)
    return f"{schedule.task}, {table.meaning}" + (f" ({schedule.timezone})" if schedule.timezone else "")


def _shown(value: object) -> str:
    import msgspec  # as above

    text = msgspec.json.encode(value).decode()
    return text if len(text) <= 60 else f"{text[:57]}..."
