"""Orders are names in a folder. Other names are not orders."""

from __future__ import annotations

import shutil

import pytest

from edge.config import Config
from edge.results.orders import Order, Orders, parse


def test_orders_stand_until_done(config: Config) -> None:
    """Orders are written, listed and withdrawn."""
    orders = Orders(config.layout)
    assert list(orders.pending()) == []
    orders.place(Order.CANCEL, "a.b")
    orders.place(Order.CANCEL, "a.b")
    orders.place(Order.DELETE, "c")
    assert sorted(orders.pending()) == [(Order.CANCEL, "a.b"), (Order.DELETE, "c")]
    orders.withdraw_fulfilled(["a.b", "never"])
    assert list(orders.pending()) == [(Order.DELETE, "c")]
    orders.withdraw_all(["c"])
    assert list(orders.pending()) == []


def test_a_result_leaves_the_order_to_remove_it(config: Config) -> None:
    """A result fulfils a cancel and a node's upload. Only the tombstone fulfils a removal."""
    orders = Orders(config.layout)
    for order in Order:
        orders.place(order, "a")
    orders.withdraw_fulfilled(["a"])
    assert list(orders.pending()) == [(Order.DELETE, "a")]


def test_a_folder_that_goes_away_while_it_is_read_holds_no_orders(config: Config) -> None:
    """A person may empty the run folder, and the worker's thread must continue."""
    orders = Orders(config.layout)
    orders.place(Order.DELETE, "a")
    standing = orders.pending()
    shutil.rmtree(orders.folder)
    assert list(standing) == []


@pytest.mark.parametrize("name", ["", "x", ".cancel", "a.explode", "..delete", ".x.cancel", "a b.cancel"])
def test_an_odd_name_is_no_order(name: str) -> None:
    """Other files in the folder are ignored."""
    assert parse(name) is None
