"""`edge schedule apply` changes the schedules of a board to those in a file."""

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
_MOST_VALUES = 2_000_000  # YAML aliases are counted at each use: a file of 1 kB can expand to 10^9 values


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, allow_dash=True))
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--check", is_flag=True, help="Only show what would change; exit 1 if something would.")
@click.option("--prune", is_flag=True, help="Remove the schedules that the file does not name.")
@common
@pass_session
def apply(session: Session, *, file: Path, yes: bool, check: bool, prune: bool) -> int:
    """Make and change the schedules that FILE names. The changes are shown first.

    FILE is YAML: names of schedules, and below each name the fields of `PUT /v1/schedules/NAME`.

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
                _show_steps(session, steps)
            return 1 if steps else 0
        if not session.as_json or not yes:
            _show_steps(session, steps)
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
        raise UsageError(
            "stdin is not a terminal, so nobody can confirm: --yes applies without asking, --check shows the changes"
        )
    return click.confirm("Change this?", err=True)


def _show_steps(session: Session, steps: list[tuple[str, str, list[str]]]) -> None:
    if session.as_json:
        changes = [{"name": name, "change": what, "fields": fields} for name, what, fields in steps]
        output.document({"changes": changes})
        return
    for name, what, fields in steps:
        click.echo(f"{what} {name}" + (f": {'; '.join(fields)}" if fields else ""))


def _read(file: Path) -> dict[str, Schedule]:
    """Return the schedules in a file. Raises UsageError, naming the file, the schedule and what is wrong."""
    import msgspec  # loaded, like YAML, for this command only

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
    """Raise UsageError for a value that YAML has and JSON lacks: it would reach the board as another value."""
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
    """Return a step for each schedule that differs from the file: its name, what to do, and the fields that change.

    What to do is "add", "change" or "remove".
    """
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
            continue  # the file names no zone: the schedule keeps the zone that the board gave it
        if name == "files" and _same_files(now, then):
            continue  # the board has filled in names and sizes
        if not _same(now, then):
            changes.append(f"{name} {_shown(now)} -> {_shown(then)}")
    return changes


def _same_files(now: dict[str, InputFile], then: dict[str, InputFile]) -> bool:
    """Return True if the jobs get files of the same content, with the names that the file asks for."""
    return now.keys() == then.keys() and all(
        now[name].sha256 == file.sha256 and file.name in (None, now[name].name) for name, file in then.items()
    )


def _same(now: object, then: object) -> bool:
    """Return True if both values mean the same to a task.

    5 and 5.0 do. 1 and true do not, although they are equal in Python.
    """
    if isinstance(now, dict) and isinstance(then, dict):
        return now.keys() == then.keys() and all(_same(each, then[name]) for name, each in now.items())
    if isinstance(now, list) and isinstance(then, list):
        return len(now) == len(then) and all(_same(*pair) for pair in zip(now, then, strict=True))
    return now == then and isinstance(now, bool) == isinstance(then, bool)


def _meaning(schedule: Schedule) -> str:
    from edge.schedule.timetable import Timetable  # loaded for this command only

    table = Timetable(schedule)
    return f"{schedule.task}, {table.meaning}" + (f" ({schedule.timezone})" if schedule.timezone else "")


def _shown(value: object) -> str:
    import msgspec  # loaded for this command only

    text = msgspec.json.encode(value).decode()
    return text if len(text) <= 60 else f"{text[:57]}..."
