"""Reads numbers in words, figures or both: "three hundred and twenty-five", "2.5 million", "three point one four"."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from tasks.arithmetic.tokens import Kind, Token

_THOUSAND = 1000


def begins_number(tokens: Sequence[Token], at: int) -> bool:
    """Return True if a number begins at this token."""
    return _kind(tokens, at) in (Kind.NUMBER, Kind.COUNT, Kind.POINT) or _article(tokens, at)


def read_number(tokens: Sequence[Token], at: int) -> tuple[Fraction, int] | None:
    """Return the longest number that begins at this token.

    Args:
        tokens: The question.
        at: Index of the first token of the number; see `begins_number`.

    Returns:
        The number and the index of the token after it, or None for figures that cannot be read. Words that do not fit
        into the number ("twenty zero", "two thousand million") are left to the caller, which refuses two numbers
        without an operation between them.
    """
    first = tokens[at]
    if first.kind is Kind.NUMBER:
        if first.value is None:
            return None
        if first.value.denominator != 1 or first.value >= _THOUSAND or not first.name.isdecimal():
            return _scaled(tokens, first.value, at + 1)
    total = Fraction(0)
    if first.kind is not Kind.POINT:
        total, at = _whole(tokens, at)
    if _kind(tokens, at) is Kind.POINT:
        fraction = _fraction(tokens, at + 1)
        if fraction and fraction[1] < len(tokens) and tokens[fraction[1]].name == "hundred":
            return total + fraction[0], fraction[1]  # "three point one hundred" may be 3.100
        return _scaled(tokens, total + fraction[0], fraction[1]) if fraction else None
    return total, at


def _kind(tokens: Sequence[Token], at: int) -> Kind | None:
    return tokens[at].kind if at < len(tokens) else None


def _article(tokens: Sequence[Token], at: int) -> bool:
    """Return True for the "a" of "a hundred"."""
    return at < len(tokens) and tokens[at].name == "a" and _kind(tokens, at + 1) is Kind.SCALE


def _scaled(tokens: Sequence[Token], value: Fraction, at: int) -> tuple[Fraction, int]:
    """Read the scale after a number with a fraction or with more than three figures: "2.5 million"."""
    scale = tokens[at].value if _kind(tokens, at) is Kind.SCALE else None
    return (value, at) if scale is None or not value else (value * scale, at + 1)


def _whole(tokens: Sequence[Token], at: int) -> tuple[Fraction, int]:
    """Read a whole number: groups below a thousand, each with a smaller scale than the group before."""
    total, smallest = Fraction(0), Fraction(10**15)
    while True:
        group = _group(tokens, at)
        if group is None or group[0] >= smallest or (not group[0] and total):
            return total, at
        value, after = group
        scale = tokens[after].value if _kind(tokens, after) is Kind.SCALE else None
        if scale is None or not 0 < value < _THOUSAND or not _THOUSAND <= scale < smallest:
            return (total + value, after) if scale is None or not total else (total, at)
        total, smallest, at = total + value * scale, scale, after + 1
        if _and(tokens, at) and _group(tokens, at + 1):
            at += 1


def _and(tokens: Sequence[Token], at: int) -> bool:
    return at < len(tokens) and tokens[at].name == "and"


def _group(tokens: Sequence[Token], at: int) -> tuple[Fraction, int] | None:
    """Read a group up to "three hundred and twenty five"; also "twenty one hundred"."""
    if _article(tokens, at):
        value, at = Fraction(1), at + 1
    else:
        small = _small(tokens, at, _THOUSAND)
        if small is None:
            return None
        value, at = small
    if not (0 < value < 100 and _kind(tokens, at) is Kind.SCALE and tokens[at].name == "hundred"):
        return value, at
    value, at = value * 100, at + 1
    rest = _small(tokens, at + 1 if _and(tokens, at) else at, 100)
    return (value + rest[0], rest[1]) if rest and rest[0] else (value, at)


def _small(tokens: Sequence[Token], at: int, below: int) -> tuple[Fraction, int] | None:
    """Read a number below a hundred in words, or below `below` in figures."""
    if at >= len(tokens):
        return None
    token = tokens[at]
    if token.value is None or token.kind not in (Kind.NUMBER, Kind.COUNT):
        return None
    if token.kind is Kind.NUMBER:
        return (token.value, at + 1) if token.name.isdecimal() and token.value < below else None
    if token.value >= 20 and token.value % 10 == 0 and _kind(tokens, at + 1) is Kind.COUNT:
        unit = tokens[at + 1].value
        if unit is not None and 1 <= unit <= 9:
            return token.value + unit, at + 2
    return token.value, at + 1


def _fraction(tokens: Sequence[Token], at: int) -> tuple[Fraction, int] | None:
    """Read the digits after "point": one digit in each word, or all digits in figures."""
    if _kind(tokens, at) is Kind.NUMBER:
        figures = tokens[at].name
        return (Fraction(int(figures), 10 ** len(figures)), at + 1) if figures.isdecimal() else None
    digits = ""
    while _kind(tokens, at) is Kind.COUNT and (value := tokens[at].value) is not None and value < 10:
        digits, at = f"{digits}{value}", at + 1
    return (Fraction(int(digits), 10 ** len(digits)), at) if digits else None
