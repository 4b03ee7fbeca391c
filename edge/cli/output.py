"""Writes what a command prints: values, tables and times for people, and JSON for programs."""

from __future__ import annotations

import itertools
import re
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import click

from edge.core import text as texts
from edge.core.text import duration

if TYPE_CHECKING:
    from edge.model import Plan, Reading

#: Writes seconds since the epoch as a time that people read.
when = texts.when

_NO_SUN = "the forecast has no time with enough sun for an idle board"
#: All control characters except tab and newline. A job's text must not send escape sequences to the terminal.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def document(value: object) -> None:
    """Write one JSON document on one line."""
    import msgspec  # only loaded for --json

    click.echo(msgspec.json.encode(value, enc_hook=str))


def note(text: str) -> None:
    """Write a line to stderr, so that a pipe gets only the values on stdout."""
    click.echo(shown(text), err=True)


def shown(text: str) -> str:
    """Return `text` with control characters written as codes."""
    return _CONTROL.sub(lambda match: f"\\x{ord(match[0]):02x}", text)


def line(text: str, *, width: int = 0) -> str:
    """Return `text` on one line, without control characters. Shorten it to `width` characters if `width` is not 0."""
    flat = shown(" ".join(text.split()))
    return flat if not width or len(flat) <= width else flat[: width - 1] + "…"


def value(result: object) -> None:
    """Write a job's value: text as it is, anything else as JSON. A pipe gets it unchanged."""
    if isinstance(result, str):
        # color=True: otherwise click removes escape sequences when stdout is a pipe, which would change the value.
        click.echo(shown(result) if sys.stdout.isatty() else result, color=True)
        return
    import msgspec  # only loaded for a value that is not text

    encoded = msgspec.json.encode(result)
    click.echo(msgspec.json.format(encoded, indent=2) if sys.stdout.isatty() else encoded)


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> int:
    """Write a table whose columns are as wide as their longest cell. Return the number of rows.

    It is written a hundred rows at a time, so that the jobs of a year are not held in memory to find the widest cell.
    """
    widths = [len(name) for name in header]
    left, count = iter(rows), 0
    while page := [[line(cell) for cell in row] for row in itertools.islice(left, 100)]:
        widths = [max(width, *(len(row[column]) for row in page)) for column, width in enumerate(widths)]
        for cells in page if count else [header, *page]:
            click.echo("  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip())
        count += len(page)
    return count


def facts(pairs: Iterable[tuple[str, str]]) -> None:
    """Write names and values, one pair a line. A pair with an empty value is left out."""
    kept = [(name, text) for name, text in pairs if text]
    width = max((len(name) for name, _ in kept), default=0)
    for name, text in kept:
        click.echo(f"{name.ljust(width)}  {line(text)}")


def plan(made: Plan | None) -> list[tuple[str, str]]:
    """Return facts of the planner: its action with the reason, and the energy that may be used until the sun is back.

    Without a plan the list is empty.
    """
    if made is None:
        return []
    woken = f", wakes at {when(made.wake_at)}" if made.wake_at is not None else ""
    found = [("plan", f"{made.action}: {made.reason}{woken}")]
    if made.budget_wh is not None and made.floor_percent is not None:
        until = f", until the sun is back at {when(made.sun_at)}" if made.sun_at else f"; {_NO_SUN}"
        found.append(("budget", f"{made.budget_wh:.1f} Wh, down to {made.floor_percent:.0f} %{until}"))
    return found


def readings(taken: Iterable[Reading]) -> None:
    """Write a table of the readings of the power sources, each with its age."""
    rows = [
        (
            r.source,
            r.what,
            "-" if r.value is None else f"{r.value:g} {r.unit}",
            duration(r.age_s, fine=True),
            r.verdict,
            r.reason,
        )
        for r in taken
    ]
    table(("SOURCE", "WHAT", "VALUE", "AGE", "VERDICT", "NOTE"), rows)
