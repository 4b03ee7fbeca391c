"""Schedules and the record of their slots survive a broken ledger, and a change of them causes a new copy."""

from __future__ import annotations

from contextlib import closing

import pytest

from edge.core.layout import Layout
from edge.ledger.recovery import copies, rebuild
from edge.ledger.schedules import ScheduleRow, SlotRow
from edge.ledger.writer import LedgerWriter
from edge.model import Fate, Schedule
from tests.conftest import MakeConfig

ROW = ScheduleRow("nightly", "uid", Schedule("echo", ["hi"], cron="@daily"), "me", "UTC", 100, 200.0, 1.0)
SLOT = SlotRow(100, 100, 1, Fate.RAN, job="a-job", decided_at=100.0)


@pytest.fixture
def layout(make_config: MakeConfig) -> Layout:
    """A board with one schedule."""
    layout = make_config().layout
    layout.root.mkdir()
    with closing(LedgerWriter.open(layout.ledger)) as ledger, ledger.transaction(durable=True):
        ledger.schedules.put(ROW)
        ledger.schedules.record(ROW.uid, [SLOT], now=100.0)
    return layout


def _kept(layout: Layout) -> bool:
    with closing(LedgerWriter.open(layout.ledger)) as ledger:
        reader = ledger.schedules.reader
        return reader.find("nightly") == ROW and reader.slots("uid") == [SLOT]


def test_a_lost_ledger_gets_them_from_its_copy(layout: Layout) -> None:
    copies.copy(layout.ledger, layout.ledger_copy)
    layout.ledger.unlink()
    rebuild.rebuild(layout)
    assert _kept(layout)


def test_a_broken_ledger_gives_them_itself(layout: Layout) -> None:
    """The index of ids is broken, but the tables of schedules can be read."""
    copies.copy(layout.ledger, layout.ledger_copy)
    data = bytearray(layout.ledger.read_bytes())
    data[96:100] = b"\xff\xff\xff\xff"
    data[-2048:-1024] = bytes(1024)
    layout.ledger.write_bytes(data)
    rebuild.rebuild(layout)
    assert _kept(layout)


def test_a_new_schedule_is_worth_a_new_copy(layout: Layout) -> None:
    before = copies.mark(layout.ledger)
    with closing(LedgerWriter.open(layout.ledger)) as ledger, ledger.transaction(durable=True):
        ledger.schedules.drop(ROW)
    assert copies.mark(layout.ledger) != before
