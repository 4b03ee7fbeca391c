"""The parts of a sum: what each comes to, and the form in which ChatterBot can read it.

In that form every number is whole and every operation has brackets, so that ChatterBot's parser has one way to read it
and rounds nothing: it would make floats of decimals.
"""

from __future__ import annotations

from enum import StrEnum
from fractions import Fraction

import msgspec

from tasks.arithmetic import values
from tasks.arithmetic.errors import NotASum
from tasks.arithmetic.values import Value


class Shape(StrEnum):
    """How a part is written, where that decides what may stand beside it without brackets."""

    CLOSED = "closed"  # a number, a root, anything in brackets
    POWER = "power"
    PERCENT = "percent"  # of nothing: brackets do not change that
    REMAINDER = "remainder"
    OPEN = "open"


class Part(msgspec.Struct, frozen=True):
    """A part of a sum.

    `form` is what ChatterBot is asked. It answers with a float where `floating` is set; where `rough` is, a step is a
    root or logarithm, of which it knows some digits only. `operations` says how much there is to work out; a number
    alone, its sign and its percent sign have none.
    """

    value: Value
    form: str
    shape: Shape = Shape.CLOSED
    floating: bool = False
    rough: bool = False
    operations: int = 0


def number(value: Fraction | int) -> Part:
    """A number as it stands."""
    return Part(values.number(value), _written(Fraction(value)))


def constant(name: str) -> Part:
    """`pi` or `e`, in figures: ChatterBot knows six places of it."""
    value = values.constant(name)
    return Part(value, _written(value.low))


def signed(part: Part, sign: str) -> Part:
    """A part with `+` or `-` before it."""
    shape = part.shape if part.shape is Shape.PERCENT else Shape.OPEN
    if sign == "+":
        return msgspec.structs.replace(part, shape=shape)
    form = f"( neg {_operand(part)} )"
    return msgspec.structs.replace(part, value=values.negative(part.value), form=form, shape=shape, floating=False)


def bracketed(part: Part) -> Part:
    """A part in brackets."""
    return part if part.shape is Shape.PERCENT else msgspec.structs.replace(part, shape=Shape.CLOSED)


def percentage(part: Part) -> Part:
    """A number of hundredths."""
    share = _joined(part, "/", number(100), values.divide(part.value, values.number(100)))
    return msgspec.structs.replace(share, shape=Shape.PERCENT, operations=part.operations)


def add(first: Part, sign: str, second: Part) -> Part:
    """The sum, or with `-` the difference."""
    if Shape.PERCENT in (first.shape, second.shape):
        raise NotASum("a percentage is of something: write 200 + 15% of 200, or 0.15")
    _check_no_remainder(first, second)
    added = second.value if sign == "+" else values.negative(second.value)
    return _joined(first, sign, second, values.add(first.value, added))


def multiply(first: Part, sign: str, second: Part) -> Part:
    """The product, or with `/` the quotient."""
    _check_no_remainder(first, second)
    operation = values.multiply if sign == "*" else values.divide
    return _joined(first, sign, second, operation(first.value, second.value))


def modulo(first: Part, second: Part) -> Part:
    """The remainder. ChatterBot has none, and is asked for what is left after so many times."""
    for part in (first, second):
        if part.shape not in (Shape.CLOSED, Shape.POWER):
            raise NotASum("a remainder beside another operation, a sign or a percentage needs brackets")
    value, times = values.modulo(first.value, second.value)
    taken = Part(value, f"( {times} * {_operand(second)} )", rough=second.rough, operations=second.operations)
    return msgspec.structs.replace(_joined(first, "-", taken, value), shape=Shape.REMAINDER)


def power(base: Part, exponent: Part) -> Part:
    """`base` to the power of `exponent`."""
    value = values.power(base.value, exponent.value)
    whole = exponent.value.integer
    if whole is None or whole < 0:  # two ints would make a float
        base = msgspec.structs.replace(base, form=f"( {base.form} / 1 )", floating=False)
    joined = _joined(base, "^", exponent, value)
    return msgspec.structs.replace(joined, shape=Shape.POWER, rough=joined.rough or whole is None)


def function(name: str, operand: Part) -> Part:
    """`sqrt`, `cbrt` or `log`, which is to base ten."""
    shape = Shape.POWER if operand.shape is Shape.POWER else Shape.CLOSED
    if name == "cbrt":
        return msgspec.structs.replace(_cube_root(operand), shape=shape)
    if name == "log":
        value = values.logarithm(operand.value)
    elif operand.value.high < 0:
        raise NotASum("the square root of a negative number is no real number")
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
    """The form of a part that others stand beside: ChatterBot cannot add a float to a decimal."""
    return f"( {part.form} / 1 )" if part.floating else part.form


def _check_no_remainder(first: Part, second: Part) -> None:
    if Shape.REMAINDER in (first.shape, second.shape):
        raise NotASum("a remainder beside another operation needs brackets")


def _written(value: Fraction) -> str:
    """A number as ChatterBot reads it without rounding."""
    return f"{value.numerator}" if value.denominator == 1 else f"( {value.numerator} / {value.denominator} )"
