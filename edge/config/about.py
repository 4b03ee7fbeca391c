"""Attaches the explanation of a key of `edge.yaml` to its type, so that `edge config example` can print it."""

from __future__ import annotations

from msgspec import Meta, inspect

_ABOUT, _EXAMPLE = "about", "example"


def about(text: str, *, example: object = None) -> Meta:
    """Return the annotation that explains a key.

    Args:
        text: the explanation.
        example: a value to show if the default does not show what the key may hold.
    """
    return Meta(extra={_ABOUT: text} if example is None else {_ABOUT: text, _EXAMPLE: example})


def text_of(kind: inspect.Type) -> str:
    """Return the explanation of a field's type, or an empty string."""
    return str(_extra(kind).get(_ABOUT, ""))


def example_of(kind: inspect.Type) -> object:
    """Return the example of a field's type, or None."""
    return _extra(kind).get(_EXAMPLE)


def bare(kind: inspect.Type) -> inspect.Type:
    """Return the type without its annotations."""
    while isinstance(kind, inspect.Metadata):
        kind = kind.type
    return kind


def _extra(kind: inspect.Type) -> dict[str, object]:
    return (kind.extra or {}) if isinstance(kind, inspect.Metadata) else {}
