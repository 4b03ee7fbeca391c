"""Holds the records of `make flash`, which say what a card had to write for a job, and their table."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from rich.table import Table

#: How long the idle board is measured.
IDLE_S = 60.0


class Spent(msgspec.Struct, frozen=True):
    """What one component wrote: bytes that reached the card, the part of them in the journal, and flushes."""

    flushed_bytes: int
    journal_bytes: int
    flushes: int


class Share(msgspec.Struct, frozen=True):
    """What one component wrote for each job."""

    kib: float
    journal_kib: float
    flushes: float


class Row(msgspec.Struct, frozen=True):
    """The figures of one way to submit, as in `bench.json`; those of `idle` are for a whole minute, not for a job."""

    way: str
    jobs: int
    kib_per_job: float
    journal_kib_per_job: float
    flushes_per_job: float
    parts: dict[str, Share]


class Figures(msgspec.Struct, frozen=True):
    """The rows with one file system for each component (`apart`) and with one for all, as on a board (`together`).

    A quick run measures only `apart`.
    """

    apart: list[Row]
    together: list[Row]


def row(way: str, jobs: int, spent: dict[str, Spent]) -> Row:
    """Divide what was written by the number of jobs."""
    parts = {
        name: Share(
            round(each.flushed_bytes / jobs / 1024, 1),
            round(each.journal_bytes / jobs / 1024, 1),
            round(each.flushes / jobs, 2),
        )
        for name, each in spent.items()
    }
    return Row(
        way,
        jobs,
        round(sum(each.flushed_bytes for each in spent.values()) / jobs / 1024, 1),
        round(sum(each.journal_bytes for each in spent.values()) / jobs / 1024, 1),
        round(sum(each.flushes for each in spent.values()) / jobs, 2),
        parts,
    )


def tables(figures: Figures) -> list[Table]:
    """One table for each arrangement that was measured."""
    titles = (
        ("KiB a card writes for a job (journal's part of it), one file system each", figures.apart),
        ("KiB a card writes for a job (journal's part of it), one file system as on a board", figures.together),
    )
    return [_table(title, rows) for title, rows in titles if rows]


def _table(title: str, rows: Sequence[Row]) -> Table:
    table = Table("way", "jobs", *rows[0].parts, "KiB in all", "flushes", title=title)
    for one in rows:
        cells = [f"{share.kib:.1f} ({share.journal_kib:.1f})" for share in one.parts.values()]
        name = f"idle, {IDLE_S:g} s" if one.way == "idle" else one.way
        table.add_row(name, str(one.jobs), *cells, f"{one.kib_per_job:.1f}", f"{one.flushes_per_job:.1f}")
    return table
