"""Reads values from received MQTT messages: plain text, or a member of a JSON document."""

from __future__ import annotations

import math
import re

import msgspec

from edge.core.values import JsonValue

#: Pattern of a path such as `ENERGY.Power` or `sensors.0.value`: names of members and indexes of lists, with dots.
PATH = r"^[^.\s]+(\.[^.\s]+)*\Z"
_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")
_LONGEST_SHOWN = 40
_ON = frozenset({"on", "true", "1", "yes", "online"})
_OFF = frozenset({"off", "false", "0", "no", "offline"})


class BadPayload(ValueError):
    """The message does not contain such a value. The text of the error gives the reason in one line."""


def value(payload: bytes, path: str) -> JsonValue:
    """Return the value in `payload` at `path`, or the whole payload as text if `path` is empty. Raises BadPayload."""
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
    """Return `found` as a finite number. It may be a number or a text with a number. Raises BadPayload."""
    if isinstance(found, str) and _NUMBER.fullmatch(found.strip()):
        found = float(found)
    if isinstance(found, bool) or not isinstance(found, int | float):
        raise BadPayload(f"no number ({_shown(found)})")
    try:
        result = float(found)
    except OverflowError as err:
        raise BadPayload("a number out of range") from err
    if not math.isfinite(result):
        raise BadPayload("a number out of range")
    return result


def switch(found: JsonValue) -> bool:
    """Return True for one of the usual values for "on", False for one of those for "off". Raises BadPayload."""
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
