"""A number on the command line: within its bounds, and none of `nan` and `inf`, which JSON cannot say."""

from __future__ import annotations

import math
from typing import Any

import click


class Number(click.FloatRange):
    """As click's FloatRange, which lets `nan` through every bound."""

    # Any is click's own word for what it takes: text, or a default that is a number already.
    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number `value` stands for."""
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a finite number", param, ctx)
        return number
