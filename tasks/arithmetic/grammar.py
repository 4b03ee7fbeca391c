"""Reads a whole question by recursive descent, and works it out at the same time.

A question that people read in two ways is refused with advice: `-2 ^ 2`, `2(3)`, `200 + 15%`, `10 mod 3 * 2`. The
reader also refuses a question if it would have to ignore a part of it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from tasks.arithmetic import parts
from tasks.arithmetic.errors import NotASum, TooLarge
from tasks.arithmetic.numerals import begins_number, read_number
from tasks.arithmetic.parts import Part, Shape
from tasks.arithmetic.tokens import Kind, Token, tokens

_DEPTH = 40
_AROUND = (Kind.FILLER, Kind.MARK)
#: A sign after one of these words belongs to the sum. In "the answer - 5" it continues an earlier sum, and in
#: "hello - 5" it is a dash.
_BEFORE_A_SIGN = (
    *(
        "is",
        "what",
        "what's",
        "whats",
        "calculate",
        "compute",
        "evaluate",
        "solve",
        "out",
        "find",
        "give",
        "me",
        "know",
    ),
    *("of", ":", "!", "?"),
)


#: Words after which a sign cannot be a dash, even with a space between it and its number.
_BEFORE_NO_DASH = ("is", "of", "what's", "whats")
#: No question ends with one of these words. If one does, the rest of the question is missing.
_CUT_OFF = ("to", "the", "then")


class Sum(msgspec.Struct, frozen=True):
    """A sum that was read: its words without the words around it, and its parts with the value."""

    words: str
    part: Part


def read(question: str) -> Sum:
    """Read and work out a question. Raises NotASum or TooLarge, with the part that was understood."""
    found = _without_fillers(tokens(question))
    try:
        _check_known(found)
        part = _Reader(found).whole()
    except NotASum as err:
        raise NotASum(f"{err} (understood: {_understood(found)!r})") from err
    except TooLarge as err:
        raise TooLarge(f"a part of it {err} (understood: {_understood(found)!r})") from err
    return Sum(spoken(found), part)


def spoken(found: Sequence[Token]) -> str:
    """Return the text of tokens in ChatterBot's form: lower case, spaces between tokens, no space after a sign."""
    text, glue = "", True
    before: Token | None = None
    for token in found:
        if token.kind is Kind.FILLER:
            continue
        tight = glue or token.text in ("%", "\uff05", "\u00b2", "\u00b3")
        text += token.text if tight else f" {token.text}"
        glue = token.kind is Kind.SIGN and not token.text.isalpha() and (before is None or _opens(before))
        before = token
    return text


def _opens(token: Token) -> bool:
    """Return True if a sign after this token belongs to the number that follows."""
    return token.kind in (Kind.SIGN, Kind.TIMES, Kind.MODULO, Kind.POWER, Kind.OF, Kind.FUNCTION, Kind.OPEN)


def _understood(found: Sequence[Token]) -> str:
    """Return the words that were understood, with dots for the other words."""
    gap = Token(Kind.UNKNOWN, "...", "...")
    read_ = [one for one in found if one.kind is not Kind.FILLER]
    return spoken([gap if _is_unknown(one) or _is_unreadable(one) else one for one in read_])[:80]


def _is_unknown(token: Token) -> bool:
    return token.kind is Kind.UNKNOWN and token.name not in ("a", "and")  # these two may be part of a number


def _is_unreadable(token: Token) -> bool:
    return token.kind is Kind.NUMBER and token.value is None


def _without_fillers(found: list[Token]) -> list[Token]:
    """Return the tokens of the sum, without the words before and after it. Marks that may have a meaning stay."""
    first, last = 0, len(found)
    while first < last and (found[first].kind is Kind.FILLER or (first and _leads_on(*found[first - 1 : first + 1]))):
        first += 1
    while first < last and found[last - 1].kind in _AROUND:
        last -= 1
    if first == last:
        return []
    before = found[first - 1].name if first else ":"
    if before in (".", ",", "=") or (found[first].kind is Kind.SIGN and before not in _BEFORE_A_SIGN):
        first -= 1  # "what is ,5 + 1"
    elif _may_be_dash(found[first:last]) and before.replace("\u2019", "'") not in _BEFORE_NO_DASH:
        found[first] = Token(Kind.UNKNOWN, "dash", found[first].text)
    if last < len(found) and found[-1].name in _CUT_OFF:
        last = len(found)
    return found[first:last] + ([] if _only_ends(found[last:]) else found[last:])


def _may_be_dash(found: Sequence[Token]) -> bool:
    """Return True if the sum begins with a sign that does not touch its number: "hello! - 5 + 3", or a list of sums."""
    sign, *rest = found
    return sign.kind is Kind.SIGN and not sign.text.isalpha() and bool(rest and rest[0].space) and not _is_sign(rest[0])


def _is_sign(token: Token) -> bool:
    return token.kind is Kind.SIGN


def _leads_on(before: Token, token: Token) -> bool:
    """Return True if a token after a filler is a filler too: punctuation, or the "of" of "the value of"."""
    return token.kind is Kind.MARK or (token.kind is Kind.OF and before.name in ("value", "result"))


def _only_ends(rest: list[Token]) -> bool:
    """Return True if the words and marks after the sum only end the sentence: "=", "?", ", please."."""
    marks = "".join(token.name if token.kind is Kind.MARK else "w" for token in rest).removeprefix("=")
    return not (set("=:;") & set(marks) or ".." in marks or marks.startswith("!") or marks.endswith(","))


def _check_known(found: Sequence[Token]) -> None:
    """Raise NotASum for the first token that cannot be part of a sum."""
    for at, token in enumerate(found):
        shown = repr(token.text[:40])
        if _is_unreadable(token) and re.search(r"\d[-\u2212/]\d", token.text):
            raise NotASum(f"{shown} may be a date, a number with a fraction, or a code: write a sum with spaces")
        if _is_unreadable(token) and not (at and found[at - 1].kind is Kind.POINT):
            raise NotASum(f"{shown} can be read in more than one way, or in none: write 1,234.5 or 1234.5")
        if token.name == "dash":
            raise NotASum(f"{shown} may be a dash: write a sign beside its number, as in '-5 + 3'")
        if token.text == "\u2013" and _is_unknown(token):
            raise NotASum(f"{shown} between two numbers may mean from one to the other: write a minus with spaces")
        if _is_unknown(token):
            raise NotASum(f"{shown} is neither a number nor an operation known here")
        if token.name == "!":
            raise NotASum("'!' may be a factorial or the end of a sentence")
        if token.name == "=":
            raise NotASum("an equation is not a sum")
        article = token.name == "the" and at + 1 < len(found) and found[at + 1].kind is Kind.FUNCTION
        if token.kind in _AROUND and not article:
            raise NotASum(f"{shown} stands within the sum")


def _check_one_line(operator: Token) -> None:
    """Raise NotASum if an operator begins a line, which may be a list or another sum."""
    if len(f"{operator.space}.".splitlines()) > 1:
        raise NotASum(f"a line begins with {operator.text!r}, which may be another sum: write one sum in one line")


class _Reader:
    """Reads the tokens with one method for each level of the grammar.

    A sum has products, a product has factors, and a factor is a power or a percentage with or without a sign.
    """

    def __init__(self, found: Sequence[Token]) -> None:
        self._tokens = [token for token in found if token.kind is not Kind.FILLER]
        self._at = 0
        self._depth = 0

    def whole(self) -> Part:
        """Read all tokens as one sum. Raises NotASum, TooLarge."""
        if not self._tokens:
            raise NotASum("there are no numbers in it")
        part = self._sum()
        if self._at < len(self._tokens):
            raise NotASum(self._left_over())
        if not part.operations:
            raise NotASum("there is nothing to work out")
        return part

    def _left_over(self) -> str:
        left, before = self._tokens[self._at], self._tokens[self._at - 1]
        if left.kind is Kind.CLOSE:
            return "a bracket is closed that was never opened"
        if left.kind in (Kind.POWER, Kind.AFTER):
            return "two powers in a row need brackets"
        advice = "; for a remainder write mod" if before.kind is Kind.PERCENT else ""
        return f"no operation stands between {before.text[:40]!r} and {left.text[:40]!r}{advice}"

    def _kind(self) -> Kind | None:
        return self._tokens[self._at].kind if self._at < len(self._tokens) else None

    def _take(self, *kinds: Kind) -> Token | None:
        if self._kind() not in kinds:
            return None
        self._at += 1
        return self._tokens[self._at - 1]

    def _deeper(self) -> None:
        self._depth += 1
        if self._depth > _DEPTH:
            raise NotASum(f"more than {_DEPTH} brackets, powers or roots within each other")

    def _sum(self) -> Part:
        part = self._product()
        while self._kind() is Kind.SIGN and self._tokens[self._at].name != "negative":
            self._at += 1
            sign = self._tokens[self._at - 1]
            _check_one_line(sign)
            if sign.text == "plus" and self._at < len(self._tokens) and self._tokens[self._at].text == "minus":
                raise NotASum("'plus minus' means two numbers")
            part = parts.add(part, sign.name, self._product())
        return part

    def _product(self) -> Part:
        part = self._factor()
        while operator := self._take(Kind.TIMES, Kind.MODULO):
            _check_one_line(operator)
            second = self._factor()
            if operator.kind is Kind.MODULO:
                part = parts.modulo(part, second)
            else:
                part = parts.multiply(part, operator.name, second)
        return part

    def _factor(self) -> Part:
        sign = self._sign()
        part = self._unsigned()
        if not sign:
            return part
        if part.shape is Shape.POWER:
            raise NotASum("a sign before a power needs brackets: -(2 ^ 2) or (-2) ^ 2")
        return parts.signed(part, sign)

    def _sign(self) -> str:
        """Read the sign before a number. Return an empty string if there is none."""
        sign = self._take(Kind.SIGN)
        if sign and self._kind() is Kind.SIGN:
            raise NotASum("two signs stand before one number")
        return "" if sign is None else "+" if sign.name == "+" else "-"

    def _unsigned(self) -> Part:
        """Read a power, or a percentage with or without "of"."""
        part = self._power()
        if not self._take(Kind.PERCENT):
            return part
        if part.shape is not Shape.CLOSED or self._kind() in (Kind.POWER, Kind.AFTER):
            raise NotASum("a power beside a percentage needs brackets")
        share = parts.percentage(part)
        if not self._take(Kind.OF):
            return share
        self._deeper()
        whole = self._factor()
        self._depth -= 1
        return parts.multiply(share, "*", whole)

    def _power(self) -> Part:
        return self._raised(self._primary())

    def _raised(self, base: Part) -> Part:
        """Read the exponent after a part, if there is one."""
        following = self._take(Kind.AFTER, Kind.POWER)
        if not following:
            return base
        if base.shape is Shape.POWER:  # the root of a power
            raise NotASum("two powers in a row need brackets")
        if following.kind is Kind.AFTER:
            return parts.power(base, parts.number(int(following.name)))
        self._deeper()
        exponent = self._exponent()
        self._depth -= 1
        return parts.power(base, exponent)

    def _exponent(self) -> Part:
        sign, at = self._sign(), self._at
        exponent = self._power()
        last = self._tokens[self._at - 1].kind
        if exponent.shape is Shape.POWER and (sign or last is Kind.AFTER):
            raise NotASum("two powers in a row need brackets")
        if self._kind() is Kind.PERCENT or self._tokens[at].kind is Kind.FUNCTION:
            raise NotASum("a percentage, root or logarithm as exponent needs brackets")
        return parts.signed(exponent, sign) if sign else exponent

    def _primary(self) -> Part:
        if self._at >= len(self._tokens):
            raise NotASum("a number is missing at the end")
        if begins_number(self._tokens, self._at):
            return self._number()
        token = self._tokens[self._at]
        self._at += 1
        if token.kind is Kind.OPEN:
            return self._bracket()
        if token.kind is Kind.CONSTANT:
            return parts.constant(token.name)
        if token.kind is Kind.FUNCTION:
            return self._function(token.name)
        raise NotASum(f"a number is missing before {token.text[:40]!r}")

    def _number(self) -> Part:
        number = read_number(self._tokens, self._at)
        if number is None:
            raise NotASum(f"the number at {self._tokens[self._at].text[:40]!r} cannot be read")
        value, self._at = number
        return parts.number(value)

    def _bracket(self) -> Part:
        self._deeper()
        part = self._sum()
        if not self._take(Kind.CLOSE):
            raise NotASum(self._left_over() if self._kind() else "a bracket is not closed")
        self._depth -= 1
        return parts.bracketed(part)

    def _function(self, name: str) -> Part:
        self._deeper()
        sign = self._sign()
        operand = self._primary()
        powers = self._kind() in (Kind.POWER, Kind.AFTER) or operand.shape is Shape.POWER
        # The root of a power equals the power of the root only for numbers above zero.
        if powers and (sign or name == "log" or operand.value.low < 0):
            raise NotASum("a power of a root or logarithm needs brackets")
        operand = self._raised(operand)
        self._depth -= 1
        if self._kind() is Kind.PERCENT:
            raise NotASum("a percentage of a root or logarithm needs brackets")
        return parts.function(name, parts.signed(operand, sign) if sign else operand)
