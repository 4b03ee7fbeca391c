"""Makes the parts of a sum, each with its value and with a form that ChatterBot can read.

In that form every number is whole and every operation has brackets. So ChatterBot's parser can read it in one way only,
and rounds nothing. Decimals would become floats there.
"""

from __future__ import annotations

from enum import StrEnum
from fractions import Fraction

import msgspec

from tasks.arithmetic import values
from tasks.arithmetic.errors import NotASum
from tasks.arithmetic.values import Value


class Shape(StrEnum):
    """The written form of a part. It decides which operations may stand next to it without brackets."""

    CLOSED = "closed"  # a number, a root, anything in brackets
    POWER = "power"
    PERCENT = "percent"  # a percentage without "of"; brackets do not change it
    REMAINDER = "remainder"
    OPEN = "open"


class Part(msgspec.Struct, frozen=True):
    """A part of a sum.

    `form` is the text for ChatterBot. If `floating` is set, ChatterBot answers with a float. If `rough` is set, a step
    is a root or a logarithm, which ChatterBot computes to a few digits only. `operations` is the number of operations;
    a number alone, its sign and its percent sign do not count.
    """

    value: Value
    form: str
    shape: Shape = Shape.CLOSED
    floating: bool = False
    rough: bool = False
    operations: int = 0


def number(value: Fraction | int) -> Part:
    """Return a number in figures or words."""
    return Part(values.number(value), _written(Fraction(value)))


def constant(name: str) -> Part:
    """Return `pi` or `e` in figures, because ChatterBot knows only six places of them."""
    value = values.constant(name)
    return Part(value, _written(value.low))


def signed(part: Part, sign: str) -> Part:
    """Return a part with `+` or `-` before it."""
    shape = part.shape if part.shape is Shape.PERCENT else Shape.OPEN
    if sign == "+":
        return msgspec.structs.replace(part, shape=shape)
    form = f"( neg {_operand(part)} )"
    return msgspec.structs.replace(part, value=values.negative(part.value), form=form, shape=shape, floating=False)


def bracketed(part: Part) -> Part:
    """Return a part in brackets."""
    return part if part.shape is Shape.PERCENT else msgspec.structs.replace(part, shape=Shape.CLOSED)


def percentage(part: Part) -> Part:
    """Return a part followed by a percent sign: its hundredth."""
    share = _joined(part, "/", number(100), values.divide(part.value, values.number(100)))
    return msgspec.structs.replace(share, shape=Shape.PERCENT, operations=part.operations)


def add(first: Part, sign: str, second: Part) -> Part:
    """Return the sum, or with `-` the difference."""
    if Shape.PERCENT in (first.shape, second.shape):
        raise NotASum("a percentage is of something: write 200 + 15% of 200, or 0.15")
    _check_no_remainder(first, second)
    added = second.value if sign == "+" else values.negative(second.value)
    return _joined(first, sign, second, values.add(first.value, added))


def multiply(first: Part, sign: str, second: Part) -> Part:
    """Return the product, or with `/` the quotient."""
    _check_no_remainder(first, second)
    operation = values.multiply if sign == "*" else values.divide
    return _joined(first, sign, second, operation(first.value, second.value))


def modulo(first: Part, second: Part) -> Part:
    """Return the remainder. ChatterBot has no such operation, so its form subtracts a multiple of the second number."""
    for part in (first, second):
        if part.shape not in (Shape.CLOSED, Shape.POWER):
            raise NotASum("a remainder beside another operation, a sign or a percentage needs brackets")
    value, times = values.modulo(first.value, second.value)
    taken = Part(value, f"( {times} * {_operand(second)} )", rough=second.rough, operations=second.operations)
    return msgspec.structs.replace(_joined(first, "-", taken, value), shape=Shape.REMAINDER)


def power(base: Part, exponent: Part) -> Part:
    """Return `base` to the power of `exponent`."""
    value = values.power(base.value, exponent.value)
    whole = exponent.value.integer
    if whole is None or whole < 0:  # ChatterBot would compute a float from two ints
        base = msgspec.structs.replace(base, form=f"( {base.form} / 1 )", floating=False)
    joined = _joined(base, "^", exponent, value)
    return msgspec.structs.replace(joined, shape=Shape.POWER, rough=joined.rough or whole is None)


def function(name: str, operand: Part) -> Part:
    """Return `sqrt`, `cbrt` or `log` (to base ten) of a part."""
    shape = Shape.POWER if operand.shape is Shape.POWER else Shape.CLOSED
    if name == "cbrt":
        return msgspec.structs.replace(_cube_root(operand), shape=shape)
    if name == "log":
        value = values.logarithm(operand.value)
    elif operand.value.high < 0:
        raise NotASum("the square root of a negative number is not a real number")
    else:
        value = values.power(operand.value, values.number(Fraction(1, 2)))
    form = f"{name} ( {operand.form} )"
    return Part(value, form, shape=shape, floating=True, rough=True, operations=operand.operations + 1)


def _cube_root(operand: Part) -> Part:
    if operand.value.high < 0:
        return signed(_cube_root(signed(operand, "-")), "-")
    return power(operand, number(Fraction(1, 3)))


def _joined(first: Part, sign: str, second: Part, value: Value) -> Part:
    return Part(
        value,
        f"( {_operand(first)} {sign} {_operand(second)} )",
        shape=Shape.OPEN,
        rough=first.rough or second.rough,
        operations=first.operations + second.operations + 1,
    )


def _operand(part: Part) -> str:
    """Return the form of a part as an operand. A float is made a decimal, because ChatterBot cannot add both types."""
    return f"( {part.form} / 1 )" if part.floating else part.form


def _check_no_remainder(first: Part, second: Part) -> None:
    if Shape.REMAINDER in (first.shape, second.shape):
        raise NotASum("a remainder beside another operation needs brackets")


def _written(value: Fraction) -> str:
    """Return a number in a form that ChatterBot reads without rounding."""
    return f"{value.numerator}" if value.denominator == 1 else f"( {value.numerator} / {value.denominator} )"
