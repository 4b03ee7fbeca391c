"""`solve`: sums in plain words, by ChatterBot's mathematical evaluation."""

from __future__ import annotations

import functools
import math
import sys
from importlib import import_module
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType, SimpleNamespace
from typing import Annotated, Any

from msgspec import Meta

from edge.worker import Job, task

#: Beyond this a sum such as 9^9^9 would keep the board busy for a week.
_LARGEST = 1e300
_PACKAGES = ("chatterbot", "chatterbot.logic")


class NotASum(ValueError):
    """There is nothing to work out in the message."""


class TooLarge(ValueError):
    """The sum has a part that no small board should work out."""


@task(time_limit_s=60)
def solve(
    message_id: Annotated[int, Meta(ge=0, le=10**18)],
    message: Annotated[str, Meta(max_length=1000)],
    job: Job,
) -> str:
    """Solve a sum asked in words and write the answer to a file.

    `message` is a question as "What is 50 divided by 2?"; the value is "50 divided by 2 = 25", and the same stands in
    the file `ID-response.txt`, where ID is `message_id`. A message that is no sum fails and says so.
    """
    answer = evaluate(message)
    job.file(f"{message_id}-response.txt").write_text(answer)
    return answer


def evaluate(message: str) -> str:
    """The sum in `message` and what it comes to, as "50 divided by 2 = 25". Raises NotASum or TooLarge."""
    adapter, statement = _mathematics()
    shown = f"{message[:80]!r}"
    try:
        response = adapter.process(statement(text=message)) if _is_sum(message) else None
    except TooLarge:
        raise
    except Exception as err:  # mathparse raises whatever its arithmetic raises: ValueError, IndexError, ...
        raise NotASum(f"the sum in {shown} cannot be worked out: {err}") from err
    text = str(response.text) if response is not None and response.confidence == 1 else ""
    if not text:
        raise NotASum(f"no sum in {shown}: ask as in 'What is 50 divided by 2?'")
    return text


def _is_sum(message: str) -> bool:
    """Work the sum out roughly, in floats, before anyone does it exactly; raises TooLarge.

    False for words with numbers among them: nothing is done with these, or several are left in the end.
    """
    from mathparse import mathparse, mathwords  # ChatterBot's own parser; imported where it is used

    words = mathparse.replace_word_tokens(mathparse.extract_expression(message, language="ENG"), "ENG", None)
    try:
        tokens = mathparse.preprocess_unary_operators(mathparse.tokenize(words, "ENG"))
        postfix = mathparse.to_postfix(tokens)
    except mathparse.PostfixTokenEvaluationException:
        return False
    stack: list[float] = []
    operations = 0
    for token in postfix:
        if mathparse.is_int(token) or mathparse.is_float(token) or mathparse.is_constant(token):
            stack.append(abs(float(mathparse.to_number(token))))
            continue
        if not stack:
            return False
        operations += token not in (".", "neg")  # a number's own dot and sign
        if token not in mathwords.UNARY_FUNCTIONS and len(stack) > 1:  # no unary one makes a number larger
            second, first = stack.pop(), stack.pop()
            stack.append(_magnitude(first, str(token), second))
        if not stack[-1] < _LARGEST:
            raise TooLarge(f"a part of the sum in {message[:80]!r} goes beyond {_LARGEST:g}")
    return operations > 0 and len(stack) == 1


def _magnitude(first: float, operator: str, second: float) -> float:
    """At least how large the outcome of an operation can be."""
    try:
        if operator == "^":
            return float(max(first, 1.0) ** second)
        if operator == "*":
            return first * second
        if operator == "/":
            return first / second if second else 0.0
    except OverflowError:
        return math.inf
    return first + second


@functools.cache
def _mathematics() -> tuple[Any, Any]:
    """ChatterBot's MathematicalEvaluation, and the class of the statements it reads.

    `import chatterbot` drags in spaCy (85 MB, 0.6 s on a fast machine), which this adapter has no use for. Unless it is
    loaded already, the adapter's module is imported with bare packages in place of the two that would load the rest.
    """
    if "chatterbot" in sys.modules:
        return _adapter()
    try:
        for name in _PACKAGES:
            sys.modules[name] = _bare(name)
        base = import_module("chatterbot.logic.logic_adapter")
        vars(sys.modules["chatterbot.logic"])["LogicAdapter"] = base.LogicAdapter
        return _adapter()
    except Exception:  # a ChatterBot laid out otherwise: at its full price
        _forget()
        return _adapter()
    finally:
        _forget()  # whoever wants all of ChatterBot must not find the bare packages


def _adapter() -> tuple[Any, Any]:
    module = import_module("chatterbot.logic.mathematical_evaluation")
    statement = import_module("chatterbot.conversation").Statement
    search = import_module("chatterbot.search").IndexedTextSearch
    return module.MathematicalEvaluation(SimpleNamespace(search_algorithms={search.name: None})), statement


def _bare(name: str) -> ModuleType:
    """A package without the code of its `__init__`."""
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
