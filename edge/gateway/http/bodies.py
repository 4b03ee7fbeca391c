"""Reads request bodies within their limits: bytes, seconds, depth; what does not fit is one sentence."""

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

#: Arguments nested deeper are refused: every JSON reader on the way (ours, Celery's, the worker's) has its own limit.
MAX_DEPTH = 100
T = TypeVar("T")


async def read(request: web.Request, media: tuple[str, ...], *, max_bytes: int, max_s: float) -> bytes:
    """The whole body. Raises WrongType, TooLarge, TooSlow, BadRequest.

    A body needs a Content-Type of `media`: a foreign web page can send without asking first only types that are
    not among them, so no page can make a browser on this board submit jobs.
    """
    given = request.headers.get("Content-Type")
    # aiohttp reads the header with the parser for mail, which costs more than all the rest here.
    if given not in media and (given is None or request.content_type not in media):
        raise WrongType(f"Content-Type {(given or 'none')[:80]!r}: this reads {' or '.join(media)}")
    if (request.content_length or 0) > max_bytes:
        raise TooLarge(f"the body has {request.content_length} bytes; at most {max_bytes} are taken")
    if request.content.is_eof() and request.content.exception() is None:  # all of it came with the headers
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
        # aiohttp would go on reading what cannot be read, log a traceback, and reset the client's next request.
        request.content.feed_eof()
        raise BadBody(f"the body cannot be read: {plain(str(err).rpartition('message:')[2])}") from err
    return b"".join(chunks)


def decode(content: bytes, kind: type[T]) -> T:
    """`content` as a `kind`. Raises BadRequest."""
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
        if _has_half_a_pair(content):
            raise BadRequest(
                "a text of the body has half of a surrogate pair, \\ud800 to \\udfff: no character"
            ) from err
        raise BadRequest(f"the body is not JSON: {plain(str(err))}") from err
    # Brackets are counted first: almost no body has enough of them to be worth the walk.
    if content.count(b"[") + content.count(b"{") > MAX_DEPTH and _deeper(value, MAX_DEPTH):
        raise BadRequest(f"the body is nested deeper than {MAX_DEPTH} levels")
    if (name := duplicate(content)) is not None:
        raise BadRequest(f"the key {name[:80]!r} is given twice in one object; which value counts is not known")
    return value


def _has_half_a_pair(content: bytes) -> bool:
    """True where half of a surrogate pair is why the content is no JSON."""
    try:
        # msgspec calls it truncated where the text ends within the bytes of another half.
        msgspec.json.decode(content + b" " * 12)
    except msgspec.DecodeError as err:
        return "surrogate" in str(err)
    except (UnicodeDecodeError, RecursionError):
        return False
    return False


def _decoded(content: bytes, kind: type[T]) -> T:
    """`content` as a `kind`, where 5.0 is the whole number 5: JSON knows one kind of number, and so do its schemas."""
    try:
        record: type = kind
        decoder: msgspec.json.Decoder[T] = _decoder(record)
        return decoder.decode(content)
    except msgspec.ValidationError as err:
        if "got `float`" not in str(err):
            raise
        # Members that want an int refuse 5.0 on the straight way.
        return msgspec.convert(msgspec.json.Decoder(float_hook=_number).decode(content), kind)


@cache
def _decoder(kind: type) -> msgspec.json.Decoder[Any]:  # `Any`: a cache keeps no type for each key
    """Made once for each record that a route reads."""
    return msgspec.json.Decoder(kind, float_hook=_number)


def _number(text: str) -> int | float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("number out of range")
    return int(value) if value.is_integer() and abs(value) <= 2**53 else value


def _deeper(value: object, levels: int) -> bool:
    """True when `value` has containers more than `levels` deep."""
    if isinstance(value, msgspec.Struct):
        value = [getattr(value, name) for name in value.__struct_fields__]
    if isinstance(value, dict):
        value = list(value.values())
    if not isinstance(value, list):
        return False
    return levels == 0 or any(_deeper(item, levels - 1) for item in value)
