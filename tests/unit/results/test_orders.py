"""Orders are names in a folder; odd names are no orders."""

from __future__ import annotations

import pytest

from edge.config import Config
from edge.results.orders import Order, Orders, parse


def test_orders_stand_until_done(config: Config) -> None:
    """Given, listed, taken back."""
    orders = Orders(config.layout)
    assert list(orders.standing()) == []
    orders.give(Order.CANCEL, "a.b")
    orders.give(Order.CANCEL, "a.b")
    orders.give(Order.DELETE, "c")
    assert sorted(orders.standing()) == [(Order.CANCEL, "a.b"), (Order.DELETE, "c")]
    orders.done("a.b")
    orders.done("never")
    assert list(orders.standing()) == [(Order.DELETE, "c")]


@pytest.mark.parametrize("name", ["", "x", ".cancel", "a.explode", "..delete", ".x.cancel", "a b.cancel"])
def test_an_odd_name_is_no_order(name: str) -> None:
    """Whatever else lies in the folder is ignored."""
    assert parse(name) is None
