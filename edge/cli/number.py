"""The type of an option that is a finite number within bounds. JSON has no `nan` and no `inf`."""

from __future__ import annotations

import math
from typing import Any

import click


class Number(click.FloatRange):
    """A FloatRange of click that also refuses `nan` and `inf`: click accepts `nan` whatever the bounds are."""

    # click declares `value` as Any: it is text, or a default that is a number already.
    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return `value` as a number. Raises click's BadParameter."""
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a finite number", param, ctx)
        return number
