"""The decision whether a worker must end between two jobs."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from edge.core.host import boot_id
from edge.core.layout import Layout
from edge.model import ScaledWorkers, ScalingStatus
from edge.worker.power.power_watcher import PowerWatcher
from edge.worker.process.retirement import Retirement


def decide(layout: Layout, *workers: str, boot: str = "", entry: str = "extra") -> None:
    layout.scaling.parent.mkdir(parents=True, exist_ok=True)
    entries = (ScaledWorkers(entry, len(workers), 0, "", workers),)
    layout.scaling.write_bytes(msgspec.json.encode(ScalingStatus(boot or boot_id(), 0.0, entries)))


def nothing() -> None:
    """Do nothing."""


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path, tmp_path)


def test_it_ends_when_it_is_no_longer_named_and_stays_when_it_is_again(layout: Layout) -> None:
    decide(layout, "extra-1", "extra-2")
    retirement = Retirement(layout, entry="extra", worker="extra-2", on_change=nothing)
    due = [retirement.due]
    decide(layout, "extra-1")
    due.append(retirement.due)  # nobody has said that the file changed
    retirement.note()
    due.append(retirement.due)
    decide(layout, "extra-2")
    retirement.note()
    assert [*due, retirement.due] == [False, False, True, False]


@pytest.mark.parametrize("content", [None, b"", b"{", b"\xff"])
def test_what_nobody_has_decided_ends_no_worker(layout: Layout, content: bytes | None) -> None:
    if content is not None:
        layout.scaling.parent.mkdir()
        layout.scaling.write_bytes(content)
    assert not Retirement(layout, entry="extra", worker="extra-1", on_change=nothing).due


def test_neither_another_boot_nor_another_entry_ends_it(layout: Layout) -> None:
    decide(layout, boot="another")
    assert not Retirement(layout, entry="extra", worker="extra-1", on_change=nothing).due
    decide(layout, entry="other")
    assert not Retirement(layout, entry="extra", worker="extra-1", on_change=nothing).due


def test_a_change_that_is_read_in_passing_wakes_the_loop(layout: Layout) -> None:
    """A `look` after the loop has read `due` consumes the event.

    Without the callback the loop would not read `due` again.
    """
    decide(layout, "extra-1")
    rung = list[bool]()
    retirement = Retirement(layout, entry="extra", worker="extra-1", on_change=lambda: rung.append(True))
    watcher = PowerWatcher(layout.power, retirement=retirement)
    try:
        watcher.look()
        assert not retirement.due
        decide(layout)
        assert not watcher.look()  # the power has not changed
        assert rung
        assert retirement.due
    finally:
        watcher.close()
