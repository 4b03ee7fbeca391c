"""SVG as text: the one place where it is put together and escaped."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import NewType

#: Text that is SVG already, with all that came from elsewhere escaped.
Svg = NewType("Svg", str)


def element(name: str, *children: str, text: str = "", **attributes: str | float) -> Svg:
    """One element; `text` and the values of attributes are escaped, `children` are SVG already.

    An underscore in the name of an attribute stands for a hyphen, one at its end for nothing (`class_`).
    """
    given = "".join(f' {_name(key)}="{escape(_shown(value))}"' for key, value in attributes.items())
    inside = escape(text, quote=False) + "".join(children)
    return Svg(f"<{name}{given}>{inside}</{name}>" if inside else f"<{name}{given}/>")


def joined(parts: Iterable[str]) -> Svg:
    """Elements behind one another."""
    return Svg("".join(parts))


def number(value: float) -> str:
    """A coordinate, with a tenth of a unit."""
    text = f"{value:.1f}"
    return text.removesuffix(".0")


def _shown(value: str | float) -> str:
    return value if isinstance(value, str) else number(value)


def _name(key: str) -> str:
    return key.rstrip("_").replace("_", "-") if key != "viewBox" else key
