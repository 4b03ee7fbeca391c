"""What a command writes: values, tables and times for people, JSON for programs."""

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

#: A time of the board's clock, for people.
when = texts.when

#: Control characters but tab and newline: a job's text must not steer the terminal it is shown on.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def document(value: object) -> None:
    """One JSON document on a line of its own."""
    import msgspec  # only for --json

    click.echo(msgspec.json.encode(value, enc_hook=str))


def note(text: str) -> None:
    """A line beside the output proper: on stderr, so that a pipe carries only values."""
    click.echo(shown(text), err=True)


def shown(text: str) -> str:
    """`text` with control characters made visible."""
    return _CONTROL.sub(lambda match: f"\\x{ord(match[0]):02x}", text)


def line(text: str, *, width: int = 0) -> str:
    """`text` on one line, cut to `width` where one is given."""
    flat = shown(" ".join(text.split()))
    return flat if not width or len(flat) <= width else flat[: width - 1] + "…"


def value(result: object) -> None:
    """A job's value: text as it is, anything else as JSON. A pipe gets it unchanged."""
    if isinstance(result, str):
        # color: click would take escape sequences out of a pipe, and so change the value
        click.echo(shown(result) if sys.stdout.isatty() else result, color=True)
        return
    import msgspec  # only for values that are not text

    encoded = msgspec.json.encode(result)
    click.echo(msgspec.json.format(encoded, indent=2) if sys.stdout.isatty() else encoded)


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> int:
    """Columns under a header, each as wide as its longest cell; returns how many rows there were.

    Written a hundred rows at a time: the jobs of a year are not held in memory to find the widest.
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
    """Names and values, one pair a line; pairs without a value are left out."""
    kept = [(name, text) for name, text in pairs if text]
    width = max((len(name) for name, _ in kept), default=0)
    for name, text in kept:
        click.echo(f"{name.ljust(width)}  {line(text)}")


def plan(made: Plan | None) -> list[tuple[str, str]]:
    """Facts of the planner: what it wants and why, and what may go until the sun is back. Empty without a plan."""
    if made is None:
        return []
    woken = f", wakes at {when(made.wake_at)}" if made.wake_at is not None else ""
    found = [("plan", f"{made.action}: {made.reason}{woken}")]
    if made.budget_wh is not None and made.sun_at is not None:
        floor = "" if made.floor_percent is None else f", down to {made.floor_percent:.0f} %"
        found.append(("budget", f"{made.budget_wh:.1f} Wh{floor}, until the sun is back at {when(made.sun_at)}"))
    return found


def readings(taken: Iterable[Reading]) -> None:
    """What the power sources say, each with its age."""
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
    table(("SOURCE", "WHAT", "VALUE", "AGE", "SAYS", "NOTE"), rows)
