"""The properties of a message as bytes of AMQP 0-9-1, for the few types that ours hold.

py-amqp's own encoder tries one type after the other for each value, which took most of the time of a publish.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import amqp

_pack_size, _pack_long, _pack_long_long, _pack_double = (
    struct.Struct(form).pack for form in (">I", ">ci", ">cq", ">cd")
)
_CONTENT_TYPE, _CONTENT_ENCODING, _HEADERS, _DELIVERY_MODE, _CORRELATION_ID = (1 << bit for bit in (15, 14, 13, 12, 10))
_FLAGS = (_CONTENT_TYPE | _CONTENT_ENCODING | _HEADERS | _DELIVERY_MODE | _CORRELATION_ID).to_bytes(2)


class JobMessage(amqp.Message):  # type: ignore[misc]  # py-amqp ships no types
    """A message whose properties are encoded here. py-amqp calls `_serialize_properties`; it has them by name too."""

    def _serialize_properties(self) -> bytes:
        given: Mapping[str, Any] = self.properties  # of several types
        return b"".join(
            (
                _FLAGS,
                _short(given["content_type"]),
                _short(given["content_encoding"]),
                _table(given["application_headers"]),
                bytes((given["delivery_mode"],)),
                _short(given["correlation_id"]),
            )
        )


@lru_cache(maxsize=256)
def _name(name: str) -> bytes:
    return _short(name)


def _short(text: str) -> bytes:
    data = text.encode("utf-8", "surrogatepass")
    return bytes((len(data),)) + data


def _long(text: str) -> bytes:
    data = text.encode("utf-8", "surrogatepass")
    return b"S" + _pack_size(len(data)) + data


def _integer(value: int) -> bytes:
    return _pack_long(b"I", value) if abs(value) < 1 << 31 else _pack_long_long(b"L", value)


def _array(values: list[Any]) -> bytes:
    content = b"".join(_CODE[type(value)](value) for value in values)
    return b"A" + _pack_size(len(content)) + content


def _table(values: Mapping[str, Any]) -> bytes:
    content = b"".join([_name(name) + _CODE[type(value)](value) for name, value in values.items()])
    return _pack_size(len(content)) + content


#: How a header's value is encoded, by its exact type; another type is a KeyError, and a fault of ours.
_CODE: dict[type, Callable[[Any], bytes]] = {
    str: _long,
    type(None): lambda _: b"V",
    bool: lambda value: b"t\1" if value else b"t\0",
    int: _integer,
    float: lambda value: _pack_double(b"d", value),
    list: _array,
    dict: lambda value: b"F" + _table(value),
}
