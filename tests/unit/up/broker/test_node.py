"""Stores that do not work are kept, whether the next start succeeds or fails."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.up.broker.node import PrivateNode
from edge.up.broker.ports import NodePorts


@pytest.fixture
def node(tmp_path: Path) -> PrivateNode:
    """A node that is never started, with a store that holds jobs."""
    node = PrivateNode(tmp_path, NodePorts(1, 2, 3))
    node.store.mkdir()
    (node.store / "queues").write_text("jobs")
    return node


def test_a_store_that_was_not_at_fault_comes_back_every_time(node: PrivateNode) -> None:
    """If a broker cannot start for another reason, a new store does not help. Then no store is lost at any start."""
    for attempt in ("first", "second", "third"):
        aside = node.set_aside("the broker did not start")
        assert aside is not None
        (node.store / "queues").write_text(attempt)
        node.put_back(aside)
        assert (node.store / "queues").read_text() == "jobs"
    kept = sorted(path.name for path in node.base.iterdir())
    assert kept == ["store", "store.no-better-1", "store.no-better-2", "store.no-better-3"]
    assert (node.base / "store.no-better-2" / "queues").read_text() == "second"


def test_each_store_that_is_set_aside_has_another_name(node: PrivateNode) -> None:
    """A note in each store has the reason."""
    names = []
    for why in ("a cut", "another"):
        aside = node.set_aside(why)
        assert aside is not None
        assert why in (aside / "WHY.txt").read_text()
        names.append(aside.name)
    assert names == ["store.set-aside-1", "store.set-aside-2"]
