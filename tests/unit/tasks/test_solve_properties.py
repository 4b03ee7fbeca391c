"""An answer is exact, or it is marked as rounded and right to its last digit, or there is no answer.

`EDGE_SOLVE_CASES` sets how many random sums are tried; `make sums` tries 100,000.
"""

from __future__ import annotations

import os
import re
import unicodedata
from decimal import Context, Decimal
from fractions import Fraction

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tasks.solve import NotASum, TooLarge, evaluate
from tests.random_sums import QUESTIONS, WRITTEN, Sum, sums, value_of

CASES = int(os.environ.get("EDGE_SOLVE_CASES", "150"))
# Hypothesis remembers all cases of a run. A hundred thousand at once would need more than a gigabyte.
AT_ONCE = 500
quick = settings(max_examples=min(CASES, AT_ONCE), deadline=None, suppress_health_check=list(HealthCheck))
many = settings(quick, derandomize=False, database=None) if CASES > AT_ONCE else quick
runs = pytest.mark.parametrize("run", range(-(-CASES // AT_ONCE)))


def check(answer: str, expected: Fraction) -> None:
    """Fail if any part of the answer is wrong."""
    figures, _, mark = answer.rpartition(" = ")[2].partition(" ")
    if not mark:
        assert Fraction(figures) == expected, answer
        return
    assert mark == "(rounded)", answer
    nearest = Context(prec=28).divide(Decimal(expected.numerator), Decimal(expected.denominator))
    assert Decimal(figures) == nearest, answer
    assert expected != Fraction(figures) or len(figures) > 300 or "root" in answer, f"nothing was rounded: {answer}"


def digits_and_signs(text: str) -> str:
    """Return the characters of a sum that must not be lost."""
    kept = "".join(str(unicodedata.decimal(one)) if one.isdecimal() else one for one in text.lower())
    kept = re.sub(r"[.,](?=\s*([a-z]|$))", "", kept)  # ends a sentence
    return re.sub(r"[^\d.,+\-*/^()%\u00d7\u00f7\u2212\u2013\u00b2\u00b3\u221a]", "", kept)


@runs
@many
@given(sums(), st.sampled_from(QUESTIONS))
@example(("zero - 0", "F(0) - F(0)"), "{}")
def test_an_answer_is_exact_or_refused(run: int, asked: Sum, question: str) -> None:
    """Random sums in words and figures are compared with Python's fractions. None is refused without need."""
    text, python = asked
    try:
        expected = value_of(python)
    except ZeroDivisionError:
        with pytest.raises((NotASum, TooLarge)):
            evaluate(question.format(text))
        return
    try:
        answer = evaluate(question.format(text))
    except TooLarge:
        return
    except NotASum as err:
        assert "0 to the power of 0" in str(err), err  # noqa: PT017 - in Python that is 1
        return
    check(answer, expected)


TOKENS = [
    *("0", "1", "2", "3", "7", "10", "12", "0.5", "2.25", "1,000", "1,5", "1e3", "five", "twenty", "hundred", "and"),
    *("+", "-", "*", "/", "^", "(", ")", "%", "mod", "of", "\u00d7", "\u00b2", "!", ".", ",", "=", "x", "a", "the"),
    *(
        "plus",
        "minus",
        "times",
        "divided by",
        "squared",
        "negative",
        "square root of",
        "percent",
        "point",
        "what is",
        "?",
    ),
]
PYTHON = {"^": "**", "mod": "%", "\u00d7": "*", "\u00b2": "**2", "plus": "+", "minus": "-", "times": "*"}
PYTHON |= {"divided by": "/", "squared": "**2", "negative": "-", "what is": "", "?": "", "the": ""}
PYTHON |= {one: one for one in "+-*/()"} | {"five": "F(5)", "twenty": "F(20)"}
PYTHON |= {one: f"F('{one}')" for one in ("0", "1", "2", "3", "7", "10", "12", "0.5", "2.25", "1e3")}
PYTHON |= {"1,000": "F(1000)"}


@runs
@many
@given(st.lists(st.sampled_from(TOKENS), min_size=1, max_size=9))
def test_tokens_in_any_order_are_read_as_python_reads_them_or_refused(run: int, tokens: list[str]) -> None:
    """Nonsense raises one of two errors. An answer has one meaning and ignores no part."""
    question = " ".join(tokens)
    try:
        answer = evaluate(question)
    except (NotASum, TooLarge):
        return
    words = answer.rpartition(" = ")[0]
    assert digits_and_signs(words) == digits_and_signs(question.rstrip(" ?.=")), answer
    if all(token in PYTHON for token in tokens):
        try:
            expected = value_of(" ".join(PYTHON[token] for token in tokens))
        except AssertionError:  # a root, a float in Python
            return
        check(answer, expected)


FIGURES = re.compile(r"\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?|\.\d+")


@runs
@many
@given(
    sums(depth=1),
    st.lists(
        st.tuples(st.integers(0, 200), st.sampled_from("0123456789.,+-*/^()% xe!=\u00b2\u00bd\u0663'a")), max_size=3
    ),
    st.booleans(),
)
def test_a_question_with_a_slip_is_read_whole_or_refused(
    run: int, asked: Sum, slips: list[tuple[int, str]], insert: bool
) -> None:
    """With random changes of characters, no part of a number or an operator is lost."""
    text = asked[0]
    for at, character in slips:
        place = at % (len(text) + 1)
        text = text[:place] + character + text[place + (not insert) :]
    try:
        answer = evaluate(text)
    except (NotASum, TooLarge):
        return
    words = answer.rpartition(" = ")[0]
    assert digits_and_signs(words) == digits_and_signs(text.rstrip(" =.?")), (text, answer)
    plain = words.replace("**", "^")
    for operator, written in WRITTEN.items():
        for one in written:
            plain = plain.replace(one, f" {operator} ")
    plain = plain.replace(" x ", " * ").replace("^", "**").replace("\u2212", "-").replace("\u2013", "-")
    python = FIGURES.sub(lambda found: f"F('{found[0].replace(',', '')}')", plain)
    if re.fullmatch(r"(?:F\('[^']+'\)|[ +\-*/()])+", python):
        try:
            expected = value_of(python)
        except AssertionError:  # a root, a float in Python
            return
        check(answer, expected)
