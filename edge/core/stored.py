"""Reads records in JSON that a part of `edge` has written to a file.

Such a file may be damaged, or a person may have edited it. Whatever its content is, the reader gets one error. So no
reader needs to know by which exceptions a decoder refuses bytes that are no JSON, text that is not UTF-8, a value of
another type, or a value that is nested too deeply.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias, TypeVar

import msgspec

from edge.core.errors import EdgeError

T = TypeVar("T")

#: Makes a value of a type that msgspec does not know. Raises ValueError or TypeError.
Hook: TypeAlias = Callable[[type, object], object]


class BadContent(EdgeError, ValueError):
    """A file of ours does not hold the record that it should hold. The text says why; the caller names the file."""


def read(path: Path, kind: type[T], *, hook: Hook | None = None) -> T:
    """Return the record in the file at `path`. Raises OSError, BadContent."""
    return decoded(path.read_bytes(), kind, hook=hook)


def decoded(content: bytes, kind: type[T], *, hook: Hook | None = None) -> T:
    """Return the record in the content of a file. Raises BadContent."""
    try:
        return msgspec.json.decode(content, type=kind, dec_hook=hook)
    except RecursionError as err:
        raise BadContent("it is nested too deeply") from err
    except ValueError as err:  # all errors of msgspec and of UTF-8 are ValueErrors
        raise BadContent(str(err)) from err
