"""Numbers between two bounds."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.arithmetic import values
from tasks.arithmetic.errors import NotASum, TooLarge
from tasks.arithmetic.values import Value, number, printed

fractions = st.fractions(min_value=-1000, max_value=1000, max_denominator=1000)
positive = st.fractions(min_value=Fraction(1, 1000), max_value=1000, max_denominator=1000)


OPERATIONS: dict[str, Callable[[Fraction, Fraction], Fraction]] = {
    "add": lambda x, y: x + y,
    "multiply": lambda x, y: x * y,
    "divide": lambda x, y: x / y,
}


def between(first: Fraction, second: Fraction) -> Value:
    return Value(min(first, second), max(first, second))


@given(fractions, fractions, fractions, fractions, st.sampled_from(sorted(OPERATIONS)))
def test_the_outcome_of_all_numbers_within_the_bounds_is_within_the_bounds(
    a: Fraction, b: Fraction, c: Fraction, d: Fraction, operation: str
) -> None:
    """Each pair of bounds and the pair of middles are checked."""
    first, second = between(a, b), between(c, d)
    try:
        outcome = getattr(values, operation)(first, second)
    except NotASum:
        assert second.low <= 0 <= second.high
        return
    for x, y in ((a, c), (a, d), (b, c), (b, d), ((a + b) / 2, (c + d) / 2)):
        assert outcome.low <= OPERATIONS[operation](x, y) <= outcome.high


@given(positive, st.integers(2, 9))
def test_a_root_lies_between_its_bounds(base: Fraction, degree: int) -> None:
    """The powers of the bounds enclose the number, and the bounds agree to 100 digits."""
    root = values.power(number(base), number(Fraction(1, degree)))
    assert root.low**degree <= base <= root.high**degree
    assert (root.high - root.low) * 10**100 < root.high


@given(positive, st.integers(1, 5), st.integers(2, 5))
def test_a_root_that_is_a_fraction_is_exact(root: Fraction, power: int, degree: int) -> None:
    """This holds for every form of the question."""
    assert values.power(number(root**degree), number(Fraction(power, degree))) == number(root**power)


@given(st.integers(-300, 299))
def test_the_logarithm_of_a_power_of_ten_is_exact(exponent: int) -> None:
    """This includes 1000, for which a float gives 2.9999999999999996."""
    assert values.logarithm(number(Fraction(10) ** exponent)) == number(exponent)


def test_a_fraction_that_grows_too_long_is_kept_as_bounds() -> None:
    """The sum of 1/n for many n has as many digits as all n together, but its bounds have not."""
    total = number(0)
    for n in range(1, 6000):
        total = values.add(total, number(Fraction(1, n)))
    assert not total.exact
    assert total.low.denominator.bit_length() < 10_000
    assert printed(total) == ("9.276647077463576771754856732", True)


@pytest.mark.parametrize(
    ("value", "figures"),
    [
        (Fraction(0), "0"),
        (Fraction(-1, 8), "-0.125"),
        (Fraction(10**299), "1" + "0" * 299),
        (Fraction(1, 10**299), "0." + "0" * 298 + "1"),
        (Fraction(1, 2**100), f"0.{5**100:0>100}"),
    ],
)
def test_what_ends_is_printed_in_full(value: Fraction, figures: str) -> None:
    """It is printed without an exponent."""
    assert printed(number(value)) == (figures, False)


def test_bounds_that_round_differently_are_not_printed() -> None:
    """Only certain digits are printed."""
    with pytest.raises(NotASum):
        printed(Value(Fraction(1), Fraction(1) + Fraction(1, 10**20)))


@pytest.mark.parametrize("value", [Fraction(10**300), Fraction(-(10**300)), Fraction(1, 10**301)])
def test_there_are_a_largest_and_a_smallest_number(value: Fraction) -> None:
    """The limits keep every sum quick."""
    with pytest.raises(TooLarge):
        number(value)
