"""Form fields made from a signature, and arguments made from a filled-in form."""

from __future__ import annotations

from contextlib import suppress
from enum import StrEnum
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta

from edge.catalog.catalogue import Catalogue, TaskInfo
from edge.catalog.signature import Signature
from edge.core.errors import BadArguments
from edge.gateway.page.form import PREFIX, Shape, arguments, fields_of


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


def kind_of(function: Any) -> TaskInfo:
    signature = Signature.of(function)
    return TaskInfo(name=function.__name__, positional=signature.positional, schema=signature.schema())


def every(
    name: Annotated[str, Meta(max_length=50)],
    essay: str,
    count: Annotated[int, Meta(ge=1, le=9)],
    rate: float,
    colour: Colour,
    numbers: list[float],
    anything: Any,
    exact: bool = False,
    sure: bool | None = None,
    mode: Literal["a", "b"] = "a",
    limit: int | None = None,
    size: int | str = 3,
) -> None:
    pass


KIND = kind_of(every)
FIELDS = fields_of(KIND)
GOOD = {
    "name": "x",
    "essay": "a\nb",
    "count": "3",
    "rate": "1e-3",
    "colour": "red",
    "numbers": "[1, 2.5]",
    "anything": "{}",
}


def filled(**changes: str) -> dict[str, str]:
    return {f"{PREFIX}{name}": value for name, value in {**GOOD, **changes}.items()}


def test_each_hint_has_its_field() -> None:
    """Each type of argument has its type of field. All other types are entered as JSON."""
    shapes = {field.name: field.shape for field in FIELDS}
    assert shapes == {
        "name": Shape.TEXT,
        "essay": Shape.LINES,
        "count": Shape.WHOLE,
        "rate": Shape.NUMBER,
        "colour": Shape.CHOICE,
        "numbers": Shape.JSON,
        "anything": Shape.JSON,
        "exact": Shape.TICK,
        "sure": Shape.CHOICE,
        "mode": Shape.CHOICE,
        "limit": Shape.WHOLE,
        "size": Shape.JSON,
    }


def test_what_is_filled_in_fits_the_kind() -> None:
    """An argument that was left out keeps its default. An empty checkbox is false."""
    found = arguments(KIND, FIELDS, filled())
    assert found == {
        "name": "x",
        "essay": "a\nb",
        "count": 3,
        "rate": 0.001,
        "colour": "red",
        "numbers": [1, 2.5],
        "anything": {},
        "exact": False,
    }
    Catalogue({KIND.name: KIND}, {}).check(KIND.name, [], found)


def test_choices_keep_their_types() -> None:
    """The choice `true` of a boolean argument becomes a boolean, not text."""
    found = arguments(KIND, FIELDS, filled(sure="true", exact="true", limit="7", size='"big"'))
    assert (found["sure"], found["exact"], found["limit"], found["size"]) == (True, True, 7, "big")


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("count", "3.5", "must be a whole number"),
        ("count", "", "is needed"),
        ("rate", "fast", "must be a number"),
        ("rate", "NaN", "must be a number"),
        ("numbers", "1, 2", "must be JSON"),
        ("anything", "[" * 5000, "must be JSON"),
        ("count", "9" * 5000, "must be a whole number"),
    ],
)
def test_what_cannot_be_read_is_named(name: str, text: str, why: str) -> None:
    """The error names the argument and says what is allowed."""
    with pytest.raises(BadArguments, match=rf"argument '{name}' .*{why}"):
        arguments(KIND, FIELDS, filled(**{name: text}))


@given(st.dictionaries(st.sampled_from([field.name for field in FIELDS]), st.text(max_size=30)))
def test_no_input_is_anything_but_arguments_or_a_sentence(given_fields: dict[str, str]) -> None:
    """Any input either gives arguments that the kind accepts, or raises BadArguments."""
    with suppress(BadArguments):
        found = arguments(KIND, FIELDS, filled(**given_fields))
        Catalogue({KIND.name: KIND}, {}).check(KIND.name, [], found)


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"properties": {"x": True}},
        {"properties": {"x": {"$ref": "#/$defs/none"}}},
        {"properties": {"x": {"anyOf": []}}},
    ],
)
def test_a_schema_of_any_shape_has_fields(schema: dict[str, Any]) -> None:
    """A schema that cannot be interpreted gives a field for any JSON value."""
    fields = fields_of(TaskInfo(name="x", schema=schema))
    assert all(field.shape is Shape.JSON for field in fields)
