"""Makes random sums in words, figures and mixtures, each with its value, which Python computes.

A sum is built twice, as a question and as a Python expression over fractions, so that the precedence is that of Python
and not that of the code under test.
"""

from __future__ import annotations

import re
from fractions import Fraction

from hypothesis import strategies as st

_BELOW_TWENTY = """
zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen
nineteen
"""
ONES = _BELOW_TWENTY.split()
TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
SCALES = [("billion", 10**9), ("million", 10**6), ("thousand", 10**3)]

#: A sum as text, and as a Python expression.
Sum = tuple[str, str]


def below_hundred(number: int, dash: str) -> str:
    """Return a number from 0 to 99 in words."""
    if number < len(ONES):
        return ONES[number]
    tens, ones = divmod(number, 10)
    return TENS[tens - 2] + (dash + ONES[ones] if ones else "")


def below_thousand(number: int, dash: str, joint: str) -> str:
    """Return a number from 0 to 999 in words."""
    hundreds, rest = divmod(number, 100)
    if not hundreds:
        return below_hundred(rest, dash)
    return f"{ONES[hundreds]} hundred" + (joint + below_hundred(rest, dash) if rest else "")


@st.composite
def in_words(draw: st.DrawFn, number: int) -> str:
    """Draw a way to write a whole number in words, with some of its groups in figures."""
    dash, joint = draw(st.sampled_from(["-", " "])), draw(st.sampled_from([" ", " and "]))
    groups = []
    rest = number
    for name, scale in SCALES:
        count, rest = divmod(rest, scale)
        if count:
            figures = draw(st.sampled_from([False, False, True]))
            groups.append((str(count) if figures else below_thousand(count, dash, joint)) + f" {name}")
    if rest or not groups:
        last = below_thousand(rest, dash, joint)
        groups.append(f"and {last}" if groups and rest < 100 and joint == " and " else last)
    text = " ".join(groups)
    return (
        text.replace("one hundred", "a hundred", 1) if text.startswith("one hundred") and draw(st.booleans()) else text
    )


def is_pointed_thousands(text: str) -> bool:
    """Return True if a reader may take the point for a separator of thousands; such numbers are refused."""
    return re.fullmatch(r"[1-9]\d{0,2}\.\d\d0", text) is not None


@st.composite
def numbers(draw: st.DrawFn) -> Sum:
    """Draw a number that is not negative, in one of the ways to write it."""
    small = draw(st.integers(0, 120))
    large = draw(st.integers(0, 10**12 - 1))
    whole = draw(st.sampled_from([small, small, large % 10_000, large]))
    digits = draw(st.text("0123456789", min_size=1, max_size=6))
    match draw(st.integers(0, 9)):
        case 0 | 1:
            return str(whole), f"F({whole})"
        case 2:
            return f"{whole:,}", f"F({whole})"
        case 3 | 4:
            return draw(in_words(whole)), f"F({whole})"
        case 5:
            text = f"{whole}.{digits}"
            text = text + "1" if is_pointed_thousands(text) else text
            return text, f"F('{text}')"
        case 6:
            digits_in_words = " ".join(ONES[int(digit)] for digit in digits)
            before = draw(in_words(small)) if draw(st.booleans()) else str(small)
            return f"{before} point {digits_in_words}", f"F('{small}.{digits}')"
        case 7:
            scale, factor = draw(st.sampled_from([("hundred", 100), ("thousand", 1000), ("million", 10**6)]))
            text = f"{draw(st.integers(0, 99))}.{draw(st.integers(1, 9))}"
            return f"{text} {scale}", f"(F('{text}') * {factor})"
        case 8:
            exponent = draw(st.integers(-12, 12))
            return f"{small}e{exponent}", f"F('{small}e{exponent}')"
        case _:
            first = draw(st.sampled_from(["\uff10", "\u0660", "\u0966"]))  # full width, Arabic, Devanagari
            return "".join(chr(ord(first) + int(digit)) for digit in str(whole)), f"F({whole})"


@st.composite
def powers(draw: st.DrawFn, base: Sum) -> Sum:
    """Draw a power with a whole exponent."""
    text, python = base
    match draw(st.integers(0, 3)):
        case 0:
            return draw(st.sampled_from([f"{text} squared", f"{text}\u00b2"])), f"{python}**2"
        case 1:
            return draw(st.sampled_from([f"{text} cubed", f"{text}\u00b3"])), f"{python}**3"
        case _:
            exponent = draw(st.integers(-3, 6))
            operator = draw(st.sampled_from(["^", "**", " to the power of "]))
            return f"{text} {operator} {exponent}", f"{python}**{exponent}"


@st.composite
def factors(draw: st.DrawFn, depth: int) -> Sum:
    """Draw an operand: a number, a sum in brackets, a power, a percentage, a root or a remainder."""
    atom = draw(numbers())
    if depth and draw(st.booleans()):
        text, python = draw(sums(depth - 1))
        atom = f"({text})", f"({python})"
    match draw(st.integers(0, 11)):
        case 0:
            return draw(powers(atom))
        case 1:
            sign = draw(st.sampled_from(["-", "\u2212", "minus ", "negative "]))
            return f"{sign}{atom[0]}", f"(-{atom[1]})"
        case 2:
            rate = draw(st.integers(0, 150))
            percent = draw(st.sampled_from(["%", " %", " percent", " per cent"]))
            return f"{rate}{percent} of {atom[0]}", f"(F({rate}) / 100 * {atom[1]})"
        case 3:
            root = draw(st.integers(0, 200))
            places = draw(st.sampled_from([1, 1, 10, 100]))
            square = Fraction(root, places) ** 2
            text = str(square.numerator) if square.denominator == 1 else f"{float(square):.4f}".rstrip("0")
            if is_pointed_thousands(text):
                text += "0"
            word = draw(st.sampled_from(["square root of ", "the square root of ", "sqrt ", "\u221a"]))
            return f"{word}{text}", f"F({root}, {places})"
        case 4:
            first, second = draw(numbers()), draw(numbers())
            return f"({first[0]} mod {second[0]})", f"({first[1]} % {second[1]})"
        case _:
            return atom


@st.composite
def sums(draw: st.DrawFn, depth: int = 2) -> Sum:
    """Draw operands with operators between them."""
    text, python = draw(factors(depth))
    for _ in range(draw(st.integers(1, 4))):
        second = draw(factors(depth))
        operator = draw(st.sampled_from("+-*/"))
        written = draw(st.sampled_from(WRITTEN[operator]))
        if written == " plus " and second[0].startswith(("minus", "-", "\u2212")):
            written = " + "  # "plus minus" is refused
        if written == "/" and re.search(r"(^|[\s(])\d+/\d+$", text):
            written = " / "  # "3/4/2026" is refused
        text, python = f"{text}{written}{second[0]}", f"{python} {operator} {second[1]}"
    return text, python


WRITTEN = {
    "+": [" + ", " plus "],
    "-": [" - ", " minus ", " \u2212 ", " \u2013 "],
    "*": [" * ", " times ", " \u00d7 ", " multiplied by ", "*"],
    "/": [" / ", " divided by ", " \u00f7 ", "/"],
}

QUESTIONS = [
    "{}",
    "What is {}?",
    "what's {}",
    "Calculate {}.",
    "Please tell me what {} is!",
    "How much is {}, please?",
    "{} =",
    "Hello, what is {} = ?",
]


def value_of(python: str) -> Fraction:
    """Return the value of an expression. Raises ZeroDivisionError."""
    result = eval(python, {"F": Fraction})
    assert isinstance(result, Fraction | int)
    return Fraction(result)
