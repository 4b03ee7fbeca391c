"""Checks of what the program itself promises, in place of `assert`, which `python -O` leaves out."""

from __future__ import annotations

from typing import TypeVar

from edge.core.errors import BrokenInvariant

T = TypeVar("T")


def given(value: T | None, what: str) -> T:
    """`value`, which is there by the order of calls. Raises BrokenInvariant, naming `what`, when it is None."""
    if value is None:
        raise BrokenInvariant(f"{what} is missing")
    return value


def instance(value: object, kind: type[T], what: str) -> T:
    """`value`, which a library gives as a wider type than it is. Raises BrokenInvariant when it is no `kind`."""
    if not isinstance(value, kind):
        raise BrokenInvariant(f"{what} is a {type(value).__name__} and no {kind.__name__}")
    return value
