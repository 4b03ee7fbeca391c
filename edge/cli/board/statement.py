"""`edge power statement` shows the energy of jobs and board in a month, by day, kind and submitter."""

from __future__ import annotations

import csv
import re
import sys
from typing import TYPE_CHECKING

import click

from edge.cli import output
from edge.cli.session import Session, common, pass_session
from edge.core.errors import EdgeError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.model import Statement, StatementLine

_MONTH = re.compile(r"20[0-9]{2}-(0[1-9]|1[0-2])")
#: Heading of a column, and the field of `StatementLine` with its values.
_COLUMNS = (
    ("JOBS", "jobs"),
    ("JOBS_WH", "jobs_wh"),
    ("MEASURED", "measured_wh"),
    ("SUN", "sun_wh"),
    ("BATTERY", "battery_wh"),
    ("MAINS", "mains_wh"),
)
_BOARD = (("IDLE_WH", "idle_wh"), ("BOARD_WH", "board_wh"), ("LEFT_%", "left_percent"))


@click.command(short_help="Show the energy of jobs and board in a month.")
@click.option("--month", metavar="YYYY-MM", help="The month, such as 2026-11. [default: this month]")
@click.option(
    "--by",
    type=click.Choice(["day", "kind", "submitter"]),
    default="day",
    show_default=True,
    help="Show a line for each day, kind or submitter.",
)
@click.option("--csv", "as_csv", is_flag=True, help="Write comma-separated values, energies in watt-hours.")
@common
@pass_session
def statement(session: Session, *, month: str | None, by: str, as_csv: bool) -> int:
    """Show the energy of a month: of the jobs by source, of the idle board, and of the whole board as measured.

    LEFT_% is the share of the measured energy that neither the receipts nor the idle board explain. With --json, one
    document has all tables.
    """
    if month is not None and not _MONTH.fullmatch(month):
        raise UsageError(f"--month {month[:40]!r}: expected a year and a month, such as 2026-11")
    if as_csv and session.as_json:
        raise UsageError("--csv and --json cannot be used together")
    found = _found(session, month)
    if session.as_json:
        output.document(found)
        return 0
    lines = {"day": found.days, "kind": found.kinds, "submitter": found.submitters}[by]
    if as_csv:
        _csv(by, lines)
        return 0
    columns = (*_COLUMNS, *(_BOARD if by == "day" else ()))
    header = (by.upper(), *(name for name, _ in columns))
    rows = [(line.name or "(none)", *(_shown(line, member) for _, member in columns)) for line in lines]
    output.table(header, [*rows, ("total", *(_shown(found.total, member) for _, member in columns))])
    if not lines:
        output.note(f"there are no receipts for {found.month}")
    return 0


def _found(session: Session, month: str | None) -> Statement:
    """Return the statement of the gateway.

    If the gateway does not answer and this is the board, read its files, which may be some hours old.
    """
    try:
        with session.client(quick=True) as client:
            return client.statement(month)
    except EdgeError:
        loaded = session.board()
        if loaded.path is None or session.url is not None:
            raise
    from edge.power.energy import statement as statements  # loaded on a board only

    return statements.of_month(loaded.config.layout, month or statements.this_month())


def _shown(line: StatementLine, member: str) -> str:
    value = getattr(line, member)
    if value is None:
        return "-"
    return str(value) if isinstance(value, int) else f"{value:.1f}" if member == "left_percent" else f"{value:.2f}"


def _csv(by: str, lines: Sequence[StatementLine]) -> None:
    """Write a row for each line, with all fields. A value that is not known is empty."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    members = ("name", "seconds", *(member for _, member in (*_COLUMNS, *_BOARD)))
    boards = ("board_sun_wh", "board_battery_wh", "board_mains_wh")
    members = (*members, *boards) if by == "day" else members[: -len(_BOARD)]
    writer.writerow([by, *members[1:]])
    for line in lines:
        writer.writerow([_cell(line.name), *(_number(getattr(line, member)) for member in members[1:])])


def _cell(text: str) -> str:
    """Return a name as a cell that a spreadsheet does not treat as a formula."""
    return f"'{text}" if text[:1] in {"=", "+", "-", "@"} else output.shown(text)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:g}" if isinstance(value, int) else f"{value:.4f}"
