"""Reads request bodies within limits of bytes, seconds and depth. An error is one sentence for the client."""

from __future__ import annotations

import asyncio
import math
from functools import cache
from typing import Any, TypeVar

import msgspec
from aiohttp import web

from edge.core.duplicates import duplicate
from edge.gateway.http.problems import BadBody, BadRequest, TooLarge, TooSlow, WrongType
from edge.gateway.http.route import allowed, plain

#: Arguments nested deeper are refused: each JSON reader on the way (ours, Celery's, the worker's) has its own limit.
MAX_DEPTH = 100
T = TypeVar("T")


async def read(request: web.Request, media: tuple[str, ...], *, max_bytes: int, max_s: float) -> bytes:
    """Return the whole body. Raises WrongType, TooLarge, TooSlow, BadRequest.

    The Content-Type must be one of `media`. A page of another site can send only a few other types without a preflight
    request. So no such page can make a browser on this board submit jobs.
    """
    given = request.headers.get("Content-Type")
    # Compare the header itself first: aiohttp parses it with the parser for mail, which costs more than all the rest.
    if given not in media and (given is None or request.content_type not in media):
        raise WrongType(f"Content-Type {(given or 'none')[:80]!r}: this route reads {' or '.join(media)}")
    if (request.content_length or 0) > max_bytes:
        raise TooLarge(f"the body has {request.content_length} bytes; at most {max_bytes} are taken")
    if request.content.is_eof() and request.content.exception() is None:  # the whole body came with the headers
        content = request.content.read_nowait()
        if len(content) > max_bytes:
            raise TooLarge(f"the body has more than the {max_bytes} bytes that are taken")
        return content
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(max_s):
            async for chunk in request.content.iter_any():
                size += len(chunk)
                if size > max_bytes:
                    raise TooLarge(f"the body has more than the {max_bytes} bytes that are taken")
                chunks.append(chunk)
    except TimeoutError as err:
        raise TooSlow(f"the body did not arrive within {max_s:g} s") from err
    except web.RequestPayloadError as err:
        # Without this aiohttp would read on in a broken body, log a traceback, and reset the client's next request.
        request.content.feed_eof()
        raise BadBody(f"the body cannot be read: {plain(str(err).rpartition('message:')[2])}") from err
    return b"".join(chunks)


def decode(content: bytes, kind: type[T]) -> T:
    """Return `content`, which is JSON, decoded as a `kind`. Raises BadRequest."""
    try:
        value = _decoded(content, kind)
    except msgspec.ValidationError as err:
        what, _, where = str(err).partition(" - at `$")
        member = where.rstrip("`").lstrip(".")
        tail = allowed(what, kind, member)
        raise BadRequest(f"{member}: {tail}" if member else f"the body: {tail}") from err
    except RecursionError as err:
        raise BadRequest(f"the body is nested deeper than {MAX_DEPTH} levels") from err
    except (msgspec.DecodeError, UnicodeDecodeError) as err:
        if _has_lone_surrogate(content):
            raise BadRequest(
                "a text of the body has half of a surrogate pair, \\ud800 to \\udfff: no character"
            ) from err
        raise BadRequest(f"the body is not JSON: {plain(str(err))}") from err
    # Count the brackets first: almost no body has enough of them to be nested too deep.
    if content.count(b"[") + content.count(b"{") > MAX_DEPTH and _deeper(value, MAX_DEPTH):
        raise BadRequest(f"the body is nested deeper than {MAX_DEPTH} levels")
    if (name := duplicate(content)) is not None:
        raise BadRequest(f"the key {name[:80]!r} is given twice in one object; which value counts is not known")
    return value


def _has_lone_surrogate(content: bytes) -> bool:
    """Return True if the content is not JSON because of half of a surrogate pair."""
    try:
        # With the spaces, msgspec reports the surrogate. Without them it would report truncated data if the content
        # ends where it expects the other half.
        msgspec.json.decode(content + b" " * 12)
    except msgspec.DecodeError as err:
        return "surrogate" in str(err)
    except (UnicodeDecodeError, RecursionError):
        return False
    return False


def _decoded(content: bytes, kind: type[T]) -> T:
    """Return `content` decoded as a `kind`, with 5.0 as the integer 5: JSON and JSON Schema do not tell them apart."""
    try:
        record: type = kind
        decoder: msgspec.json.Decoder[T] = _decoder(record)
        return decoder.decode(content)
    except msgspec.ValidationError as err:
        if "got `float`" not in str(err):
            raise
        # When msgspec decodes into the record, an int member refuses 5.0 before `_number` can make it a 5.
        return msgspec.convert(msgspec.json.Decoder(float_hook=_number).decode(content), kind)


@cache
def _decoder(kind: type) -> msgspec.json.Decoder[Any]:  # `Any`: a cache keeps no type for each key
    """Return the decoder for a record. It is made once for each record that a route reads."""
    return msgspec.json.Decoder(kind, float_hook=_number)


def _number(text: str) -> int | float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("number out of range")
    return int(value) if value.is_integer() and abs(value) <= 2**53 else value


def _deeper(value: object, levels: int) -> bool:
    """Return True if lists and objects in `value` are nested more than `levels` deep."""
    if isinstance(value, msgspec.Struct):
        value = [getattr(value, name) for name in value.__struct_fields__]
    if isinstance(value, dict):
        value = list(value.values())
    if not isinstance(value, list):
        return False
    return levels == 0 or any(_deeper(item, levels - 1) for item in value)
