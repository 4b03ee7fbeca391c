"""Values in messages of others: plain, or somewhere in a JSON document."""

from __future__ import annotations

import math
import re

import msgspec

from edge.core.values import JsonValue

#: `ENERGY.Power`, `sensors.0.value`: names of members and places in lists, separated by dots.
PATH = r"^[^.\s]+(\.[^.\s]+)*\Z"
_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")
_LONGEST_SHOWN = 40
_ON = frozenset({"on", "true", "1", "yes", "online"})
_OFF = frozenset({"off", "false", "0", "no", "offline"})


class BadPayload(ValueError):
    """A message that holds no such value; its text says why, in one line."""


def value(payload: bytes, path: str) -> JsonValue:
    """What stands in `payload` at `path`; an empty path: the whole of it, as text. Raises BadPayload."""
    if not path:
        try:
            return payload.decode().strip()
        except UnicodeDecodeError as err:
            raise BadPayload(f"garbled ({payload[:20]!r})") from err
    try:
        found: JsonValue = msgspec.json.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as err:
        raise BadPayload(f"not JSON ({_shown(payload)})") from err
    for step in path.split("."):
        if isinstance(found, dict) and step in found:
            found = found[step]
        elif isinstance(found, list) and step.isascii() and step.isdigit() and int(step) < len(found):
            found = found[int(step)]
        else:
            raise BadPayload(f"no {path} in it ({_shown(payload)})")
    return found


def number(found: JsonValue) -> float:
    """The number that `found` is, or that its text is. Raises BadPayload."""
    if isinstance(found, str) and _NUMBER.fullmatch(found.strip()):
        found = float(found)
    if isinstance(found, bool) or not isinstance(found, int | float):
        raise BadPayload(f"no number ({_shown(found)})")
    try:
        result = float(found)
    except OverflowError as err:
        raise BadPayload("a number beyond all bounds") from err
    if not math.isfinite(result):
        raise BadPayload("a number beyond all bounds")
    return result


def switch(found: JsonValue) -> bool:
    """Whether `found` says on or off, in one of the usual ways. Raises BadPayload."""
    if isinstance(found, bool):
        return found
    text = str(found).strip().lower() if isinstance(found, str | int) else ""
    if text in _ON:
        return True
    if text in _OFF:
        return False
    raise BadPayload(f"neither on nor off ({_shown(found)})")


def _shown(found: JsonValue | bytes) -> str:
    text = found.decode("utf-8", "replace") if isinstance(found, bytes) else str(found)
    text = " ".join(text.split())
    return repr(text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}...")
