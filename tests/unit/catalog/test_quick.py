"""The quick check accepts nothing that the general validator refuses, and knows the common kinds of argument."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta

from edge.catalog import judge, quick
from edge.catalog.catalogue import Catalogue, TaskInfo
from edge.catalog.signature import Signature
from edge.core.errors import BadArguments

Numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
Leaves = st.none() | st.booleans() | Numbers | st.text(max_size=6) | st.just(2**1100) | st.just(1.0)
Values = st.recursive(
    Leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=2)
)
_TYPE = st.sampled_from(["string", "integer", "number", "boolean", "null", "array", "object"])
_LIMIT = st.integers(-3, 5)


def _schemas(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    rules = st.fixed_dictionaries(
        {"type": _TYPE},
        optional={
            **dict.fromkeys(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"), _LIMIT),
            **dict.fromkeys(("minLength", "maxLength", "minItems", "maxItems"), st.integers(0, 4)),
            "items": inner,
            "enum": st.lists(Leaves, min_size=1, max_size=2),
            "title": st.just("t"),
        },
    )
    return rules | st.fixed_dictionaries({"anyOf": st.lists(inner, min_size=1, max_size=2)})


Schemas = st.recursive(st.just(dict[str, Any]()) | st.fixed_dictionaries({"type": _TYPE}), _schemas, max_leaves=5)


@given(Schemas, Values)
def test_the_general_validator_accepts_what_the_quick_check_accepts(schema: dict[str, Any], value: Any) -> None:
    """This holds for any schema and any value."""
    if not quick.compiled({"n": schema})({"n": value}):
        return
    whole = {"type": "object", "properties": {"n": schema}, "required": ["n"]}
    assert judge.judge(whole)({"n": value}) == ""


def _count(text: str, times: int = 1) -> None: ...
def _bounded(n: Annotated[int, Meta(ge=1, lt=9)], name: Annotated[str, Meta(max_length=3)] | None = None) -> None: ...
def _list(numbers: list[float], *, scale: float = 1.0) -> None: ...
def _anything(value: Any) -> None: ...


@pytest.mark.parametrize(
    ("function", "arguments", "fits"),
    [
        (_count, {"text": "x", "times": 2}, True),
        (_count, {"text": "x", "times": True}, False),
        (_bounded, {"n": 8, "name": "abc"}, True),
        (_bounded, {"n": 8, "name": None}, True),
        (_bounded, {"n": 9}, False),
        (_bounded, {"n": 1, "name": "abcd"}, False),
        (_list, {"numbers": [1, 2.5], "scale": 1}, True),
        (_list, {"numbers": [1, "2"]}, False),
        (_anything, {"value": [{"a": None}]}, True),
    ],
)
def test_common_kinds_of_argument_are_known(function: Any, arguments: Mapping[str, Any], fits: bool) -> None:
    """These do not need the general validator."""
    assert quick.compiled(Signature.of(function).schema()["properties"])(arguments) is fits


def test_the_general_validator_explains_a_refusal() -> None:
    """The quick check gives no reason, so the general validator explains the refusal."""
    signature = Signature.of(_count, task="count")
    info = TaskInfo("count", positional=signature.positional, schema=signature.schema())
    with pytest.raises(BadArguments, match="argument 'times' = 'two': must be a whole number"):
        Catalogue({"count": info}, {}).check("count", ["x", "two"], {})


@pytest.mark.parametrize(
    ("word", "limit", "fits", "not_fits"),
    [
        ("minimum", 3, 3, 2),
        ("maximum", 3, 3, 4),
        ("exclusiveMinimum", 3, 4, 3),
        ("exclusiveMaximum", 3, 2, 3),
    ],
)
def test_a_limit_holds_at_the_limit_itself(word: str, limit: int, fits: int, not_fits: int) -> None:
    """Inclusive and exclusive limits differ only there."""
    test = quick.compiled({"n": {"type": "integer", word: limit}})
    assert (test({"n": fits}), test({"n": not_fits})) == (True, False)
