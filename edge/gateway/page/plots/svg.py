"""Writes SVG as text. This is the only place that builds and escapes SVG elements."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import NewType

#: Text that is SVG. All content from outside is escaped in it.
Svg = NewType("Svg", str)


def element(name: str, *children: str, text: str = "", **attributes: str | float) -> Svg:
    """Return one element. `text` and the values of attributes are escaped; `children` must be SVG already.

    An underscore in the name of an attribute becomes a hyphen. An underscore at its end is removed (`class_`).
    """
    written = "".join(f' {_name(key)}="{escape(_shown(value))}"' for key, value in attributes.items())
    inside = escape(text, quote=False) + "".join(children)
    return Svg(f"<{name}{written}>{inside}</{name}>" if inside else f"<{name}{written}/>")


def joined(parts: Iterable[str]) -> Svg:
    """Return several elements as one text."""
    return Svg("".join(parts))


def number(value: float) -> str:
    """Return a coordinate as text, rounded to a tenth of a unit."""
    text = f"{value:.1f}"
    return text.removesuffix(".0")


def _shown(value: str | float) -> str:
    return value if isinstance(value, str) else number(value)


def _name(key: str) -> str:
    return key.rstrip("_").replace("_", "-") if key != "viewBox" else key
