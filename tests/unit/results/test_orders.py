"""Orders are names in a folder. Other names are not orders."""

from __future__ import annotations

import shutil

import pytest

from edge.config import Config
from edge.results.orders import Order, Orders, parse


def test_orders_stand_until_done(config: Config) -> None:
    """Orders are written, listed and withdrawn."""
    orders = Orders(config.layout)
    assert list(orders.standing()) == []
    orders.give(Order.CANCEL, "a.b")
    orders.give(Order.CANCEL, "a.b")
    orders.give(Order.DELETE, "c")
    assert sorted(orders.standing()) == [(Order.CANCEL, "a.b"), (Order.DELETE, "c")]
    orders.ended(["a.b", "never"])
    assert list(orders.standing()) == [(Order.DELETE, "c")]
    orders.removed(["c"])
    assert list(orders.standing()) == []


def test_a_result_leaves_the_order_to_remove_it(config: Config) -> None:
    """A result fulfils a cancel and a node's upload. Only the tombstone fulfils a removal."""
    orders = Orders(config.layout)
    for order in Order:
        orders.give(order, "a")
    orders.ended(["a"])
    assert list(orders.standing()) == [(Order.DELETE, "a")]


def test_a_folder_that_goes_away_while_it_is_read_holds_no_orders(config: Config) -> None:
    """A person may empty the run folder, and the worker's thread must continue."""
    orders = Orders(config.layout)
    orders.give(Order.DELETE, "a")
    standing = orders.standing()
    shutil.rmtree(orders.folder)
    assert list(standing) == []


@pytest.mark.parametrize("name", ["", "x", ".cancel", "a.explode", "..delete", ".x.cancel", "a b.cancel"])
def test_an_odd_name_is_no_order(name: str) -> None:
    """Other files in the folder are ignored."""
    assert parse(name) is None
