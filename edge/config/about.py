"""What a key of `edge.yaml` means, written beside its type, so that `edge config example` can print it."""

from __future__ import annotations

from msgspec import Meta, inspect

_ABOUT, _EXAMPLE = "about", "example"


def about(text: str, *, example: object = None) -> Meta:
    """The explanation of a key; `example` is shown where the default alone does not show what may stand there."""
    return Meta(extra={_ABOUT: text} if example is None else {_ABOUT: text, _EXAMPLE: example})


def text_of(kind: inspect.Type) -> str:
    """The explanation of a field's type, or an empty string."""
    return str(_extra(kind).get(_ABOUT, ""))


def example_of(kind: inspect.Type) -> object:
    """The example of a field's type, or None."""
    return _extra(kind).get(_EXAMPLE)


def bare(kind: inspect.Type) -> inspect.Type:
    """The type without what is said about it."""
    while isinstance(kind, inspect.Metadata):
        kind = kind.type
    return kind


def _extra(kind: inspect.Type) -> dict[str, object]:
    return (kind.extra or {}) if isinstance(kind, inspect.Metadata) else {}
