"""The arguments of a task: schema and check agree, and every refusal is one sentence."""

from __future__ import annotations

import dataclasses
import enum
import json
from collections.abc import Callable
from typing import Annotated, Any, Literal, Optional, TypedDict

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Meta

from edge.catalog.catalogue import Catalogue, TaskInfo
from edge.catalog.signature import Signature, short
from edge.core.errors import BadArguments


class FakeJob:
    """Stands in for the worker's `Job`, which is recognised by its mark only."""

    __edge_job__ = True


class Colour(enum.StrEnum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


@dataclasses.dataclass
class Point:
    x: int
    y: float = 0.0


class Box(msgspec.Struct, forbid_unknown_fields=True):
    corner: Point
    name: Annotated[str, Meta(max_length=5)] = ""


class Pair(TypedDict):
    left: int
    right: list[str]


HINTS: list[Any] = [
    int,
    float,
    str,
    bool,
    Any,
    None,
    Annotated[int, Meta(ge=0, le=10)],
    Annotated[int, Meta(gt=0, multiple_of=3)],
    Annotated[float, Meta(gt=0, lt=1)],
    Annotated[str, Meta(min_length=1, max_length=3)],
    Annotated[str, Meta(pattern="^[a-c]+$")],
    Literal["a", "b"],
    Literal[1, 2],
    Literal["a", 1, None],
    Colour,
    Level,
    list[int],
    list[list[float]],
    Annotated[list[int], Meta(max_length=2)],
    tuple[int, str],
    tuple[float, ...],
    dict[str, int],
    dict[str, Any],
    Optional[int],  # noqa: UP045 - people write it
    int | str,
    int | float | None,
    list[int] | str,
    Point,
    Box,
    Pair,
    list[Point],
]

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 12)
    | st.sampled_from([2**63, 2**70, -(2**65), 10**400])
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from([1.0, 2.0, 0.5, -0.0, 1e300])
    | st.sampled_from(["", "a", "b", "ab", "abc", "abcd", "red", "1"])
    | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["x", "y", "left", "right", "corner", "name", "z"]), inner, max_size=4)
    ),
    max_leaves=8,
)


def _function(*hints: Any) -> Callable[..., None]:
    def task(**_kwargs: Any) -> None: ...

    names = [f"p{i}" for i in range(len(hints))]
    namespace: dict[str, Any] = {f"H{i}": hint for i, hint in enumerate(hints)}
    parameters = ", ".join(f"{name}: H{i}" for i, name in enumerate(names))
    exec(f"def task({parameters}): ...", namespace)
    made: Callable[..., None] = namespace["task"]
    return made


def _catalogue(signature: Signature) -> Catalogue:
    info = TaskInfo(signature.task, positional=signature.positional, schema=signature.schema())
    return Catalogue({signature.task: info}, {})


_ENDS = [(signature, _catalogue(signature)) for signature in (Signature.of(_function(hint)) for hint in HINTS)]


@settings(max_examples=1000, deadline=None)
@given(st.sampled_from(_ENDS), JSON)
def test_what_the_gateway_accepts_the_worker_accepts(ends: tuple[Signature, Catalogue], value: Any) -> None:
    """A job that was accepted is never refused later for its arguments."""
    signature, gateway = ends
    sent = msgspec.json.decode(msgspec.json.encode([value])) if _plain(value) else json.loads(json.dumps([value]))
    try:
        gateway.check("task", sent, {})
    except BadArguments:
        return
    signature.bind(json.loads(json.dumps(sent)), {})


def _plain(value: Any) -> bool:
    return not isinstance(value, int) or abs(value) < 2**63


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from([int, str, bool]), max_size=3), st.lists(JSON, max_size=4), st.data())
def test_arguments_by_place_and_by_name_agree_too(hints: list[Any], args: list[Any], data: st.DataObject) -> None:
    """For too many, missing or repeated arguments, gateway and worker decide the same."""
    signature = Signature.of(_function(*hints))
    names = st.sampled_from(["p0", "p1", "p2", "other"])
    kwargs = data.draw(st.dictionaries(names, st.integers() | st.text(max_size=2), max_size=2))
    try:
        _catalogue(signature).check("task", args, kwargs)
    except BadArguments:
        with pytest.raises(BadArguments):
            signature.bind(args, kwargs)
    else:
        signature.bind(args, kwargs)


def test_the_job_is_not_an_argument() -> None:
    """The worker fills in the parameter with the hint `Job`, also if the hint allows None."""

    def work(n: int, job: FakeJob, note: str = "x") -> None: ...
    def other(n: int, job: FakeJob | None = None) -> None: ...

    signature = Signature.of(work)
    assert (signature.job_parameter, signature.positional) == ("job", ("n", "note"))
    assert signature.bind([1], {"note": "y"}) == {"n": 1, "note": "y"}
    assert Signature.of(other).job_parameter == "job"


def test_the_schema_has_all_that_a_submitter_needs() -> None:
    """The schema has required arguments, defaults and bounds, and nothing else."""

    def work(n: Annotated[int, Meta(ge=0)], *, note: str = "x") -> None: ...

    assert Signature.of(work).schema() == {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {"n": {"type": "integer", "minimum": 0}, "note": {"type": "string", "default": "x"}},
        "required": ["n"],
        "additionalProperties": False,
    }
    assert Signature.of(work).positional == ("n",)


def test_records_are_converted() -> None:
    """The body gets values of the types in its hints, not plain JSON values."""

    def work(box: Box, colour: Colour, pair: tuple[int, str]) -> None: ...

    bound = Signature.of(work).bind([{"corner": {"x": 1}}, "red", [1, "a"]], {})
    assert bound == {"box": Box(Point(1)), "colour": Colour.RED, "pair": (1, "a")}


def _no_hint(n) -> None: ...  # type: ignore[no-untyped-def]
def _bytes(n: bytes) -> None: ...
def _any_keys(n: dict[int, str]) -> None: ...
def _a_set(n: list[set[int]]) -> None: ...
def _stars(*n: int) -> None: ...
def _place_only(n: int, /) -> None: ...
def _two_jobs(a: FakeJob, n: FakeJob) -> None: ...
def _unknown(n: Missing) -> None: ...  # type: ignore[name-defined]  # noqa: F821
def _foreign(n: complex) -> None: ...


@pytest.mark.parametrize(
    "function", [_no_hint, _bytes, _any_keys, _a_set, _stars, _place_only, _two_jobs, _unknown, _foreign]
)
def test_an_unusable_hint_is_refused_with_its_place(function: Callable[..., None]) -> None:
    """The error names file, line and function, because the author of the task reads it at the import."""
    with pytest.raises(TypeError) as err:
        Signature.of(function)
    assert "test_signature.py:" in str(err.value)
    assert function.__name__ in str(err.value)


@pytest.mark.parametrize(
    ("args", "kwargs", "sentence"),
    [
        ([], {}, "argument 'n' is missing; the task takes n, note"),
        (["a"], {}, "argument 'n' = 'a': Expected int, got str"),
        ([1, "a", 3], {}, "3 arguments given by place; the task takes n, note"),
        ([1], {"n": 2}, "argument 'n' is given by place and by name"),
        ([1], {"m": 2}, "unknown argument 'm'; the task takes n, note"),
        ([True], {}, "argument 'n' = True: Expected int, got bool"),
        ([1.0], {}, "argument 'n' = 1.0: Expected int, got float"),
    ],
)
def test_a_refusal_is_one_sentence(args: list[Any], kwargs: dict[str, Any], sentence: str) -> None:
    """It names the argument, the value and what is allowed."""

    def work(n: int, note: str = "") -> None: ...

    with pytest.raises(BadArguments) as err:
        Signature.of(work).bind(args, kwargs)
    assert str(err.value) == f"task 'work': {sentence}"


def test_a_long_value_is_shortened() -> None:
    """An error message does not contain a megabyte of text."""
    assert len(short("x" * 10_000)) <= 80
    assert len(short(list(range(10_000)))) <= 80
    assert short(10**10_000) == "<int>"
