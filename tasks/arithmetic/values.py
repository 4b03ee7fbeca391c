"""Computes with numbers that are exact or lie between two exact bounds, so that every rounding is noticed.

A fraction is kept exactly. A number that is not a fraction (the root of two, pi) is kept as two bounds, and every
operation moves them outwards. A number is printed only if both bounds round to the same digits.
"""

from __future__ import annotations

import decimal
import math
from decimal import Decimal
from fractions import Fraction

import msgspec

from tasks.arithmetic.errors import NotASum, TooLarge

#: Largest number, and the inverse of the smallest. Without a limit a sum such as 9^9^9 would keep the board busy for a
#: week.
LARGEST = 10**300
#: The number of digits of ChatterBot's division.
DIGITS = 28

_DECIMAL_PLACES = 300
#: Longest exact fraction, about 2,000 digits. A longer one is kept as bounds.
_FRACTION_BITS = 7000
_WORK_DIGITS = 120


def _context(digits: int, rounding: str = decimal.ROUND_HALF_EVEN) -> decimal.Context:
    # The limits of the exponent keep the smallest number above zero large enough for a fraction.
    return decimal.Context(prec=digits, rounding=rounding, Emin=-3000, Emax=3000)


_NEAREST = _context(_WORK_DIGITS)
_FLOOR = _context(_WORK_DIGITS, decimal.ROUND_FLOOR)
_CEILING = _context(_WORK_DIGITS, decimal.ROUND_CEILING)
_PRINTED = _context(DIGITS)


class Value(msgspec.Struct, frozen=True):
    """A number between `low` and `high`. It is exact if both are equal."""

    low: Fraction
    high: Fraction

    @property
    def exact(self) -> bool:
        """True if the number is known exactly."""
        return self.low == self.high

    @property
    def integer(self) -> int | None:
        """The number if it is exact and whole, otherwise None."""
        return self.low.numerator if self.exact and self.low.denominator == 1 else None


#: The first 60 digits, not rounded. The upper bound has one more in the last digit.
_PI = "3.14159265358979323846264338327950288419716939937510582097494"
_E = "2.71828182845904523536028747135266249775724709369995957496696"


def number(value: Fraction | int) -> Value:
    """Return an exact number. Raises TooLarge."""
    return _bounded(Fraction(value), Fraction(value))


def constant(name: str) -> Value:
    """Return `pi` or `e`."""
    low = Fraction({"pi": _PI, "e": _E}[name])
    return Value(low, low + Fraction(1, 10**59))


def negative(value: Value) -> Value:
    """Return the number with the other sign."""
    return Value(-value.high, -value.low)


def add(first: Value, second: Value) -> Value:
    """Return the sum. Raises TooLarge."""
    return _bounded(first.low + second.low, first.high + second.high)


def multiply(first: Value, second: Value) -> Value:
    """Return the product. Raises TooLarge."""
    corners = [a * b for a in (first.low, first.high) for b in (second.low, second.high)]
    return _bounded(min(corners), max(corners))


def divide(first: Value, second: Value) -> Value:
    """Return the quotient. Raises NotASum for a division by zero, or TooLarge."""
    if second.exact and not second.low:
        raise NotASum("division by zero")
    if second.low <= 0 <= second.high:
        raise NotASum("division by a number that cannot be told from zero")
    return multiply(first, Value(1 / second.high, 1 / second.low))


def modulo(first: Value, second: Value) -> tuple[Value, int]:
    """Return the remainder, and how many times the first number contains the second. Raises NotASum."""
    if not (first.exact and second.exact):
        raise NotASum("a remainder needs exact numbers")
    if not second.low:
        raise NotASum("division by zero")
    if first.low < 0 or second.low < 0:
        raise NotASum("the remainder of a negative number means different things to different people")
    times = first.low // second.low
    return number(first.low - times * second.low), times


def power(base: Value, exponent: Value) -> Value:
    """Return `base` to the power of `exponent`. Raises NotASum if that is not a real number, or TooLarge."""
    whole = exponent.integer
    if base.exact and not base.low:
        return _power_of_zero(exponent)
    if base.exact and base.low == 1:
        return base
    if base.low <= 0 <= base.high:
        raise NotASum("a power of a number that cannot be told from zero")
    if base.high < 0:
        if whole is None:
            raise NotASum("a fractional power of a negative number is not a real number")
        turned = power(negative(base), exponent)
        return negative(turned) if whole % 2 else turned
    if not (base.exact and exponent.exact):
        return _rounded_power(base, exponent)
    if whole is not None:
        return _whole_power(base, whole)
    root = _root(base.low, exponent.low.denominator)
    if root is not None:
        return power(number(root), number(exponent.low.numerator))
    return _rounded_power(base, exponent)


def logarithm(value: Value) -> Value:
    """Return the logarithm to base ten, as `log` of ChatterBot. Raises NotASum."""
    if value.low <= 0:
        raise NotASum("a logarithm is of numbers above zero only")
    for sign, digits in ((1, value.low), (-1, 1 / value.low)):
        zeros = len(str(digits.numerator)) - 1
        if value.exact and digits == 10**zeros:
            return number(sign * zeros)
    low, high = _NEAREST.log10(_down(value.low)), _NEAREST.log10(_up(value.high))
    return _bounded(Fraction(low.next_minus(_NEAREST)), Fraction(high.next_plus(_NEAREST)))


def printed(value: Value) -> tuple[str, bool]:
    """Return the number in figures, and True if it was rounded. Raises NotASum if its digits are not certain."""
    if value.exact:
        places = _decimal_places(value.low.denominator)
        if places is not None:
            digits = str(abs(value.low.numerator) * 10**places // value.low.denominator).rjust(places + 1, "0")
            sign = "-" if value.low < 0 else ""
            whole, fraction = digits[: len(digits) - places], digits[len(digits) - places :]
            return sign + whole + ("." + fraction if fraction else ""), False
    low, high = (
        _PRINTED.divide(Decimal(bound.numerator), Decimal(bound.denominator)) for bound in (value.low, value.high)
    )
    if low != high:
        raise NotASum("too many digits cancel out to be certain of the rest")
    plain = f"{low:f}"
    return (plain.rstrip("0").rstrip(".") if "." in plain else plain), True


def _bounded(low: Fraction, high: Fraction) -> Value:
    """Return the number between two bounds. Bounds with too many bits are rounded outwards. Raises TooLarge."""
    if high >= LARGEST or -low >= LARGEST:
        raise TooLarge(f"goes beyond {float(LARGEST):g}")
    if (low > 0 or high < 0) and max(abs(low), abs(high)) * LARGEST < 1:
        raise TooLarge(f"is nearer to zero than {1 / LARGEST:g}")
    bits = max(low.numerator.bit_length(), low.denominator.bit_length())
    if low == high and bits <= _FRACTION_BITS:
        return Value(low, high)
    return Value(Fraction(_down(low)), Fraction(_up(high)))


def _down(value: Fraction) -> Decimal:
    return _FLOOR.divide(Decimal(value.numerator), Decimal(value.denominator))


def _up(value: Fraction) -> Decimal:
    return _CEILING.divide(Decimal(value.numerator), Decimal(value.denominator))


def _power_of_zero(exponent: Value) -> Value:
    if exponent.low > 0:
        return number(0)
    if exponent.high < 0:
        raise NotASum("division by zero")
    raise NotASum("0 to the power of 0 has no value")


def _whole_power(base: Value, exponent: int) -> Value:
    """Return a whole power of a positive number other than 1."""
    size = math.log10(base.low.numerator) - math.log10(base.low.denominator)
    if abs(size * exponent) > 1.01 * math.log10(LARGEST):
        raise TooLarge(f"goes beyond {float(LARGEST):g} or its inverse")
    bits = max(base.low.numerator.bit_length(), base.low.denominator.bit_length())
    if bits * abs(exponent) > 2 * _FRACTION_BITS:
        return _rounded_power(base, number(exponent))
    return number(base.low**exponent)


def _rounded_power(base: Value, exponent: Value) -> Value:
    """Return bounds of a power of a positive number, computed by its logarithm."""
    low = Fraction(_NEAREST.ln(_down(base.low)).next_minus(_NEAREST))
    high = Fraction(_NEAREST.ln(_up(base.high)).next_plus(_NEAREST))
    product = multiply(Value(low, high), exponent)
    if max(abs(product.low), abs(product.high)) > 1.01 * math.log(LARGEST):
        raise TooLarge(f"goes beyond {float(LARGEST):g} or its inverse")
    least = _NEAREST.exp(_down(product.low)).next_minus(_NEAREST)
    most = _NEAREST.exp(_up(product.high)).next_plus(_NEAREST)
    return _bounded(Fraction(least), Fraction(most))


def _root(value: Fraction, degree: int) -> Fraction | None:
    """Return the root of a positive fraction if the root is a fraction, otherwise None."""
    numerator, denominator = (_whole_root(part, degree) for part in (value.numerator, value.denominator))
    return None if numerator is None or denominator is None else Fraction(numerator, denominator)


def _whole_root(value: int, degree: int) -> int | None:
    if value == 1:
        return 1
    if degree >= value.bit_length():
        return None
    low, high = 1, 1 << (value.bit_length() // degree + 1)
    while low < high:
        middle = (low + high) // 2
        if middle**degree < value:
            low = middle + 1
        else:
            high = middle
    return low if low**degree == value else None


def _decimal_places(denominator: int) -> int | None:
    """Return the decimal places of a fraction with this denominator, or None if they repeat or are too many."""
    twos = (denominator & -denominator).bit_length() - 1
    rest, fives = denominator >> twos, 0
    while rest % 5 == 0:
        rest, fives = rest // 5, fives + 1
    places = max(twos, fives)
    return places if rest == 1 and places <= _DECIMAL_PLACES else None
