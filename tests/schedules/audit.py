"""Checks a ledger after a cut: each slot must have one fate, and each slot that ran must have one job."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from edge.ledger.reader import LedgerReader
from edge.model import Fate
from edge.schedule.slots import Without
from edge.schedule.timetable import Timetable, rule

#: (schedule, slot) -> id of its job.
Ran = dict[tuple[str, int], str]


def announced(lines: list[str]) -> Ran:
    """Return the slots that a board announced as run. The last line may be incomplete."""
    found = Ran()
    for line in lines:
        try:
            name, deed, slot, job = json.loads(line)
        except ValueError:
            continue
        if deed == "ran":
            found[name, int(slot)] = job
    return found


def faults(path: Path, promised: Ran) -> Iterator[str]:
    """Yield every broken promise.

    Args:
        path: The ledger.
        promised: The slots that were announced or found as run before; slots that have run since are added to it.
    """
    with closing(LedgerReader.open(path)) as ledger:
        yield from ledger.problems()
        jobs = _jobs(path)
        named = set[str]()
        for row in ledger.schedules.page(limit=1000):
            slots = sorted(ledger.schedules.slots(row.uid, limit=1 << 30), key=lambda slot: slot.first)
            ran = {slot.first: slot.job for slot in slots if slot.fate is Fate.RAN}
            for (name, slot), job in list(promised.items()):
                if name == row.name and ran.get(slot) != job:
                    yield f"{name}: slot {slot} had run as job {job}; now {ran.get(slot)}"
            for first, job in ran.items():
                promised[row.name, first] = job
                if job not in jobs:
                    yield f"{row.name}: slot {first} ran as job {job}, which is not in the ledger"
                named.add(job)
            if len(set(ran.values())) != len(ran):
                yield f"{row.name}: one job stands for several slots"
            if row.cursor is None:
                continue
            # Each slot up to the cursor has one fate, so the records follow one another without a gap.
            times = Timetable(row.asked, timezone=row.timezone).times
            others = Without(times, frozenset(ran))
            delay_s = rule(row.asked, uid=row.uid).delay_s
            after: int | None = None
            for each in slots:
                if each.first > row.cursor:
                    if each.fate is not Fate.RAN:
                        yield f"{row.name}: slot {each.first} ahead of the cursor {row.cursor} is {each.fate}"
                    continue
                if after is not None and each.first <= after:
                    yield f"{row.name}: slot {each.first} is in two records"
                following = times.after(after) if after is not None else None
                if following is not None and following != each.first:
                    gap = others.after(after or 0)
                    yield f"{row.name}: slot {gap} before {each.first} has no fate"
                after = each.last
            following = times.after(after) if after is not None else None
            if following is not None and following <= row.cursor:
                yield f"{row.name}: slot {following} has no fate; the cursor is at {row.cursor}, delay {delay_s}"
        for job in sorted(jobs - named):
            yield f"job {job} belongs to no slot"


def _jobs(path: Path) -> set[str]:
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as db:
        return {row[0] for row in db.execute("SELECT id FROM job")}
