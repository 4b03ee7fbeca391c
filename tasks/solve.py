"""The task `solve`: works out sums in plain words, by exact arithmetic and ChatterBot's mathematical evaluation."""

from __future__ import annotations

import functools
import sys
from decimal import Context, Decimal, InvalidOperation, localcontext
from fractions import Fraction
from importlib import import_module
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType, SimpleNamespace
from typing import Annotated, Any

from msgspec import Meta

from edge.worker import Job, task
from tasks.arithmetic.errors import NotASum, TooLarge
from tasks.arithmetic.grammar import read
from tasks.arithmetic.parts import Part
from tasks.arithmetic.values import printed

__all__ = ["NotASum", "TooLarge", "evaluate", "solve"]

_LONGEST = 1000
_QUOTIENT_DIGITS = 1000
_ROUGH_DIGITS = 100
_PACKAGES = ("chatterbot", "chatterbot.logic")


@task(time_limit_s=60)
def solve(
    message_id: Annotated[int, Meta(ge=0, le=10**18)],
    message: Annotated[str, Meta(max_length=1000)],
    job: Job,
) -> str:
    """Solve a sum asked in words and write the answer to a file.

    For the `message` "What is 50 divided by 2?" the value is "50 divided by 2 = 25". The file `ID-response.txt` has the
    same text, with `message_id` as ID. A message that is not a sum fails with an error that says so.
    """
    answer = evaluate(message)
    job.file(f"{message_id}-response.txt").write_text(answer)
    return answer


def evaluate(message: str) -> str:
    """Return the sum in `message` and its value, as "50 divided by 2 = 25".

    First the sum is read and worked out exactly, and then by ChatterBot. A value with too many digits is rounded to 28
    digits and marked: "10 / 3 = 3.333333333333333333333333333 (rounded)".

    Raises:
        NotASum: the message can be read in several ways or in none, has no value, or ChatterBot finds another value.
        TooLarge: the message is too long, or a part of the sum has too many digits.
    """
    shown = f"{message[:80]!r}"
    if len(message) > _LONGEST:
        raise TooLarge(f"a sum has at most {_LONGEST} characters, not {len(message)}: {shown}")
    try:
        asked = read(message)
        figures, rounded = printed(asked.part.value)
    except TooLarge as err:
        raise TooLarge(f"too large a sum in {shown}: {err}") from err
    except NotASum as err:
        raise NotASum(f"no sum in {shown}: {err}; ask as in 'What is 50 divided by 2?'") from err
    answered = _chatterbot(asked.part)
    if not _agrees(answered, asked.part):
        understood = f"{shown}, understood as {asked.words[:80]!r}"
        raise NotASum(f"the sum in {understood}, comes to {figures[:40]}, but ChatterBot says {answered[:40]!r}")
    if asked.part.floating and answered == f"{figures}.0":  # for a root alone, keep the form that ChatterBot writes
        figures = answered
    return f"{asked.words} = {figures}{' (rounded)' if rounded else ''}"


def _chatterbot(part: Part) -> str:
    """Return the value that ChatterBot's MathematicalEvaluation finds, or its error if it finds none."""
    adapter, statement = _mathematics()
    try:
        # mathparse divides decimals in the context of the thread. It needs enough digits for differences of numbers
        # that are almost equal. A root gets fewer, because one of a thousand digits takes a small board half a second.
        with localcontext(Context(prec=_ROUGH_DIGITS if part.rough else _QUOTIENT_DIGITS)):
            response = adapter.process(statement(text=part.form))
    except Exception as err:  # mathparse raises whatever its arithmetic raises: ValueError, IndexError, ...
        return str(err) or type(err).__name__
    return str(response.text).rpartition(" = ")[2] if response.confidence == 1 else "nothing"


def _agrees(answered: str, part: Part) -> bool:
    """Return True if ChatterBot's figures match the value: a whole number exactly, a root to 9 digits, others to 20."""
    try:
        number = Decimal(answered)
    except InvalidOperation:
        return False
    if not number.is_finite():
        return False
    if part.value.integer is not None and answered.removeprefix("-").isdecimal():
        return int(number) == part.value.integer
    low, high = part.value.low, part.value.high
    middle = (low + high) / 2
    allowed = abs(middle) * Fraction(1, 10**20) + Fraction(1, 10**310) + high - low
    if part.rough:
        allowed += max(abs(middle), Fraction(1)) * Fraction(1, 10**9)
    return abs(Fraction(number) - middle) <= allowed


@functools.cache
def _mathematics() -> tuple[Any, Any]:
    """Return ChatterBot's MathematicalEvaluation, and the class of the statements it reads.

    `import chatterbot` also imports spaCy (85 MB, 0.6 s on a fast machine), which this adapter does not need. So if
    ChatterBot is not loaded yet, the adapter's module is imported below two empty packages instead of the real ones.
    """
    if "chatterbot" in sys.modules:
        return _adapter()
    try:
        for name in _PACKAGES:
            sys.modules[name] = _bare(name)
        base = import_module("chatterbot.logic.logic_adapter")
        vars(sys.modules["chatterbot.logic"])["LogicAdapter"] = base.LogicAdapter
        return _adapter()
    except Exception:  # a version of ChatterBot with other modules: import all of it
        _forget()
        return _adapter()
    finally:
        _forget()  # a later import of the whole ChatterBot must not find the empty packages


def _adapter() -> tuple[Any, Any]:
    module = import_module("chatterbot.logic.mathematical_evaluation")
    statement = import_module("chatterbot.conversation").Statement
    search = import_module("chatterbot.search").IndexedTextSearch
    return module.MathematicalEvaluation(SimpleNamespace(search_algorithms={search.name: None})), statement


def _bare(name: str) -> ModuleType:
    """Return a package without running the code of its `__init__`."""
    if "." in name:
        parent, _, leaf = name.rpartition(".")
        paths = [f"{path}/{leaf}" for path in sys.modules[parent].__path__]
    else:
        spec = find_spec(name)
        if spec is None or spec.submodule_search_locations is None:
            raise ModuleNotFoundError("ChatterBot is not installed: pip install edge-worker[chatterbot]")
        paths = list(spec.submodule_search_locations)
    module = ModuleType(name)
    module.__path__ = paths
    module.__spec__ = ModuleSpec(name, None, is_package=True)
    return module


def _forget() -> None:
    for name in [name for name in sys.modules if name == "chatterbot" or name.startswith("chatterbot.")]:
        del sys.modules[name]
