"""Cuts the text of a question into numbers, operators and words. Unknown text becomes a token too."""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import StrEnum
from fractions import Fraction

import msgspec


class Kind(StrEnum):
    """The kind of a token."""

    NUMBER = "number"  # a number in figures
    COUNT = "count"  # a word for a number below a hundred
    SCALE = "scale"  # hundred, thousand, ...
    POINT = "point"
    SIGN = "sign"  # + and -, between two numbers or before one
    TIMES = "times"  # * and /
    MODULO = "modulo"
    POWER = "power"
    AFTER = "after"  # squared, cubed
    PERCENT = "percent"
    OF = "of"
    FUNCTION = "function"  # square root of, log
    CONSTANT = "constant"
    OPEN = "open"
    CLOSE = "close"
    FILLER = "filler"  # a word around a sum that does not change it, such as "please"
    MARK = "mark"  # punctuation
    UNKNOWN = "unknown"


class Token(msgspec.Struct, frozen=True):
    """A part of the question.

    `name` distinguishes tokens of one kind ("+", "sqrt"), `text` is the text of the question, and `value` the value of
    a number. A number with figures that cannot be read has no value. `space` is the space between the token and the
    one before it.
    """

    kind: Kind
    name: str
    text: str
    value: Fraction | None = None
    space: str = ""


SCALES = {"hundred": 10**2, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}

_UNITS = {word: n for n, word in enumerate(["one", "two", "three", "four", "five", "six", "seven", "eight", "nine"], 1)}
_TENS = {
    word: 10 * n
    for n, word in enumerate(["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"], 2)
}
_TEENS = ["ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"]
COUNTS = {"zero": 0, **_UNITS, **{word: n for n, word in enumerate(_TEENS, 10)}, **_TENS}

#: Kind and name of the known words and phrases, in lower case and with one space between words.
_PHRASES: dict[str, tuple[Kind, str]] = {
    "plus": (Kind.SIGN, "+"),
    "minus": (Kind.SIGN, "-"),
    "negative": (Kind.SIGN, "negative"),
    "times": (Kind.TIMES, "*"),
    "multiplied by": (Kind.TIMES, "*"),
    "divided by": (Kind.TIMES, "/"),
    "mod": (Kind.MODULO, "mod"),
    "modulo": (Kind.MODULO, "mod"),
    "raised to the power of": (Kind.POWER, "^"),
    "to the power of": (Kind.POWER, "^"),
    "to the power": (Kind.POWER, "^"),
    "squared": (Kind.AFTER, "2"),
    "cubed": (Kind.AFTER, "3"),
    "percent": (Kind.PERCENT, "%"),
    "per cent": (Kind.PERCENT, "%"),
    "of": (Kind.OF, "of"),
    "square root of": (Kind.FUNCTION, "sqrt"),
    "square root": (Kind.FUNCTION, "sqrt"),
    "sqrt": (Kind.FUNCTION, "sqrt"),
    "cube root of": (Kind.FUNCTION, "cbrt"),
    "cube root": (Kind.FUNCTION, "cbrt"),
    "logarithm of": (Kind.FUNCTION, "log"),
    "log of": (Kind.FUNCTION, "log"),
    "log": (Kind.FUNCTION, "log"),
    "pi": (Kind.CONSTANT, "pi"),
    "e": (Kind.CONSTANT, "e"),
    "point": (Kind.POINT, "point"),
    # "i" alone may be a number
    "i want": (Kind.FILLER, "i want"),
    "i need": (Kind.FILLER, "i need"),
    "i would": (Kind.FILLER, "i would"),
}
_AROUND_A_SUM = """
answer anybody anyone calculate can compute could do does equal equals evaluate find for give good hello hey hi how is
it just know like make makes me morning much need now ok okay out please quickly result solve somebody someone tell
thank thanks that the then to us value want what whats what's will work would you
"""
_FILLERS = frozenset(_AROUND_A_SUM.split())
_SIGNS: dict[str, tuple[Kind, str]] = {
    **dict.fromkeys("+\uff0b", (Kind.SIGN, "+")),
    **dict.fromkeys("-\u2212\u2013\ufe63\uff0d", (Kind.SIGN, "-")),  # minus, en dash, small and full width hyphen
    **dict.fromkeys("*\u00d7\u2715\u2716\u22c5\u2217\uff0a", (Kind.TIMES, "*")),
    **dict.fromkeys("/\u00f7\u2215\uff0f", (Kind.TIMES, "/")),
    **dict.fromkeys("^\uff3e", (Kind.POWER, "^")),
    **dict.fromkeys("%\uff05", (Kind.PERCENT, "%")),
    **dict.fromkeys("(\uff08", (Kind.OPEN, "(")),
    **dict.fromkeys(")\uff09", (Kind.CLOSE, ")")),
    "\u00b2": (Kind.AFTER, "2"),
    "\u00b3": (Kind.AFTER, "3"),
    "\u221a": (Kind.FUNCTION, "sqrt"),
    "\u221b": (Kind.FUNCTION, "cbrt"),
    "\u03c0": (Kind.CONSTANT, "pi"),
    **{mark: (Kind.MARK, mark) for mark in "?.!,:;="},
}

_SPACE = re.compile(r"\s*")
_FIGURES = re.compile(r"(?:\d|\.\d)(?:[.,'\u2019_]*\d)*(?:e[+-]?\d+(?![\d.,'\u2019_]*\d))?")
#: Figures with one meaning: commas between groups of three, a point before the fraction, and no leading zero, which may
#: be a date or octal.
_READABLE = re.compile(r"(?:0|[1-9]\d*|[1-9]\d{0,2}(?:,\d{3})+)?(?:\.\d+)?(?:e(?P<exponent>[+-]?\d{1,3}))?")
#: 1.500 means 1500 in half of Europe. Other people do not write the last zero of a fraction, so it may not be 1.5.
_POINTED_THOUSANDS = re.compile(r"[1-9]\d{0,2}\.\d\d0")
#: Whole numbers with signs and no spaces between them. The quantifiers are possessive, so that no shorter chain is
#: found in "10-5-20.5".
_CODE = re.compile(r"\d++(?:(?:-\d++){2,}+|(?:\u2212\d++){2}|(?:/\d++){2}|-\d++/\d++)(?![.,]?\w|[-\u2212/]\d)")
_COMPOUND = re.compile(rf"({'|'.join(_TENS)})[-\u2010\u2011]({'|'.join(_UNITS)})(?![a-z\d_\u2010\u2011-])")
_PHRASE = re.compile(
    "(?:{})(?![a-z])".format("|".join(p.replace(" ", r"\s+") for p in sorted(_PHRASES, key=len)[::-1]))
)
_WORD = re.compile(r"[a-z]+(?:['\u2019][a-z]+)?")
#: The letter x between two numbers, as in "6x7" and "6 x 7". In "2x + 3" and 0x10 it means something else.
_CROSS = re.compile(r"x(?=\d)|x(?=\s+[\d(])")


def tokens(text: str) -> list[Token]:
    """Return all tokens of the question, in order."""
    line = "".join(str(int(one)) if one.isdecimal() else one for one in text).translate(_LOWER)
    found: list[Token] = []
    before, at = 0, _after_space(line, 0)
    while at < len(line):
        token, end = _token(line, at)
        found.append(msgspec.structs.replace(token, space=line[before:at]))
        before, at = end, _after_space(line, end)
    return found


#: Lower case of ASCII letters only. `str.lower` also changes other characters that look like letters.
_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}


def _after_space(line: str, at: int) -> int:
    match = _SPACE.match(line, at)
    return match.end() if match else at


def _token(line: str, at: int) -> tuple[Token, int]:
    code = _CODE.match(line, at) if _stands_alone(line, at) else None
    if code and _is_code(code[0]):
        return Token(Kind.NUMBER, code[0], code[0]), code.end()
    figures = _FIGURES.match(line, at)
    if figures:
        return _number(line, at, figures.end())
    if line.startswith("**", at):
        return Token(Kind.POWER, "^", "**"), at + 2
    if _cross(line, at):
        return Token(Kind.TIMES, "*", "x"), at + 1
    if line[at] in _SIGNS:
        return _sign(line, at)
    word = _COMPOUND.match(line, at) or _PHRASE.match(line, at) or _WORD.match(line, at)
    if not word:
        return Token(Kind.UNKNOWN, line[at], line[at]), at + 1
    end = word.end()
    if line[end : end + 1].isdecimal():  # "log10", "x2": the figures are not a separate number
        while line[end : end + 1].isalnum():
            end += 1
        return Token(Kind.UNKNOWN, line[at:end], line[at:end]), end
    return _word(" ".join(word[0].split())), end


def _stands_alone(line: str, at: int) -> bool:
    """Return True if no operator touches the figures that begin here from the left, except the plus of "+1-800"."""
    before = f"  {line[max(0, at - 2) : at]}"[-2:]
    return all(one.isspace() or one == "(" for one in before.removesuffix("+")[-1:])


def _is_code(chain: str) -> bool:
    """Return True if figures with signs between them may not be a sum.

    They may be a date, a telephone number, or "2-1/2" for two and a half. A telephone number or another code has a
    later part that is longer than the first part, or four parts of four figures.
    """
    parts = re.split(r"\D", chain)
    if "/" in chain and "-" in chain:
        return int(parts[1]) < int(parts[2])
    if len(parts) == 3 and (_is_date(parts[0], parts[1:]) or _is_date(parts[2], parts[:2], short_year=True)):
        return True
    if "/" in chain:
        return False
    longest = max(len(part) for part in parts[1:])
    return longest >= 4 and (longest > len(parts[0]) or [len(part) for part in parts] == [4] * 4)


def _is_date(year: str, others: Sequence[str], short_year: bool = False) -> bool:
    fits = (len(year) == 4 and 1000 <= int(year) < 3000) or (short_year and len(year) == 2)
    return fits and all(len(one) <= 2 and 1 <= int(one) <= 31 for one in others) and min(map(int, others)) <= 12


def _number(line: str, at: int, end: int) -> tuple[Token, int]:
    """Read a number in figures. It gets no value if the figures have several meanings or none."""
    glued = _WORD.match(line, end)
    if glued and not _cross(line, end):  # "5k", "3rd", "2x"
        end = glued.end()
        return Token(Kind.UNKNOWN, line[at:end], line[at:end]), end
    text = line[at:end]
    match = _READABLE.fullmatch(text)
    if not match or _POINTED_THOUSANDS.fullmatch(text) or abs(int(match["exponent"] or 0)) > 300:
        return Token(Kind.NUMBER, text, text), end
    return Token(Kind.NUMBER, text, text, Fraction(text.replace(",", ""))), end


def _cross(line: str, at: int) -> bool:
    match = _CROSS.match(line, at)
    if not match or at == 0:
        return False
    before = line[:at]
    if line[at + 1].isdecimal():  # without a space on the right there must be none on the left
        return before[-1].isdecimal() and not re.search(r"(?<![\d.,])0$", before)
    return before[-1].isspace() and re.search(r"[\d)%]\s+$", before) is not None


def _sign(line: str, at: int) -> tuple[Token, int]:
    kind, name = _SIGNS[line[at]]
    text, end = line[at], at + 1
    left, right = line[at - 1 : at], line[end : end + 1]
    if kind is Kind.SIGN and _SIGNS.get(right, (None,))[0] is Kind.SIGN:  # may be a dash, an increment or plus-minus
        return Token(Kind.UNKNOWN, text + right, text + right), end + 1
    if name == "-" and ((at and left.isalpha()) or (right.isalpha() and _ends_in_a_number(line[:at]))):
        return Token(Kind.UNKNOWN, text, text), end  # may be a hyphen: "twenty -one" is 21, "ten-five" a range
    if text == "\u2013" and left.isdecimal() and right.isdecimal():  # an en dash between figures may mean "from 3 to 5"
        return Token(Kind.UNKNOWN, text, text), end
    return Token(kind, name, text), end


def _ends_in_a_number(before: str) -> bool:
    last = before.split()[-1:]
    return bool(last) and (last[0] in COUNTS or last[0] in SCALES)


def _word(word: str) -> Token:
    if word in _PHRASES:
        kind, name = _PHRASES[word]
        return Token(kind, name, word)
    if word in COUNTS:
        return Token(Kind.COUNT, word, word, Fraction(COUNTS[word]))
    if word in SCALES:
        return Token(Kind.SCALE, word, word, Fraction(SCALES[word]))
    tens, _, units = re.sub("[\u2010\u2011]", "-", word).partition("-")
    if units:
        return Token(Kind.COUNT, word, word, Fraction(_TENS[tens] + _UNITS[units]))
    name = word.replace("\u2019", "'")
    return Token(Kind.FILLER if name in _FILLERS else Kind.UNKNOWN, name, word)
