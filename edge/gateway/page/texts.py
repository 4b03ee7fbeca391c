"""Filters of the templates, which write numbers, times, states and texts for people."""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec
from markupsafe import Markup, escape

from edge.core.text import duration, size, when
from edge.core.values import JsonValue
from edge.model import JobState, PowerState, WorkerState

#: The tone of each state: one of five CSS classes, which set its colour. The page names each state in words too.
_TONES = {
    JobState.SUCCEEDED: "good",
    JobState.FAILED: "bad",
    JobState.CANCELLED: "off",
    JobState.RUNNING: "live",
    JobState.RETRYING: "warn",
    PowerState.SURPLUS: "good",
    PowerState.NORMAL: "good",
    PowerState.LOW: "warn",
    PowerState.CRITICAL: "bad",
    PowerState.UNKNOWN: "bad",
    PowerState.PAUSED: "warn",
    WorkerState.RUNNING: "live",
    WorkerState.IDLE: "good",
    WorkerState.HELD: "warn",
    WorkerState.PAUSED: "warn",
    WorkerState.DISCONNECTED: "bad",
    "ok": "good",
    "warn": "warn",
    "FAIL": "bad",
    "failing": "bad",
    "ran": "good",
    "connected": "good",
    "blocked": "warn",
    "down": "bad",
}
_LONGEST_JSON = 4000


def tone(state: str) -> str:
    """Return the tone of a state of a job, of power, of a worker, of a slot or of a finding."""
    return _TONES.get(state, "off")


def _iso(at: float) -> str:
    try:
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))
    except (OverflowError, ValueError, OSError):
        return ""


def ago(at: float | None) -> Markup:
    """Return how long ago `at` is. The script of the page keeps the text current. The time itself is the tooltip."""
    return _span(at, "ago")


def lasting(at: float | None) -> Markup:
    """Return how much time has passed since `at`. The script of the page keeps the text current."""
    return _span(at, "for")


def coming(at: float | None) -> Markup:
    """Return how much time is left until `at`. The script of the page keeps the text current."""
    return _span(at, "in")


def _span(at: float | None, how: str) -> Markup:
    if not at:
        return Markup("")
    off_s = at - time.time()
    text = duration(off_s if how == "in" else -off_s)
    text = f"{text} ago" if how == "ago" else f"in {text}" if how == "in" else text
    return Markup('<time datetime="{}" title="{}" data-t="{}" data-how="{}">{}</time>').format(
        _iso(at), when(at), f"{at:.0f}", how, text
    )


def seconds(value: float | None) -> str:
    """Return a measured duration in seconds as text, or an empty text if it is None."""
    return "" if value is None else duration(value, fine=True)


def joules(value: float) -> str:
    """Return an energy in joules as text, in the largest of Wh, J and mJ that gives at least 1, or `0 J`."""
    for unit, factor in (("Wh", 3600.0), ("J", 1.0), ("mJ", 1e-3)):
        if value >= factor:
            return f"{value / factor:.3g} {unit}"
    return "0 J"


def number(value: float) -> str:
    """Return a number with at most four significant digits."""
    return f"{value:.4g}"


def short(text: str, most: int = 200) -> str:
    """Return `text` on one line, shortened to `most` characters."""
    flat = " ".join(text.split())
    return flat if len(flat) <= most else flat[: most - 1] + "…"


#: Characters that change the direction of text, and control characters. They can make a text look like another one.
_UNSAFE = {ord(each): f"\\u{ord(each):04x}" for each in "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"}
_UNSAFE |= {code: f"\\x{code:02x}" for code in (*range(0x20), 0x7F, *range(0x80, 0xA0)) if code not in {0x09, 0x0A}}


def printable(value: object) -> object:
    """Return text with the characters of `_UNSAFE` written as codes. Markup, and values that are not text, are kept."""
    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    return value.translate(_UNSAFE)


def exact(value: str) -> Markup:
    """Return text for a form field, escaped and otherwise unchanged, because the form sends it back."""
    return escape(value)


def doc(text: str) -> Markup:
    """Return the docstring of a kind as paragraphs, without its line breaks."""
    paragraphs = (" ".join(part.split()) for part in text.split("\n\n"))
    return Markup("").join(Markup("<p>{}</p>").format(code(part)) for part in paragraphs if part)


def pretty(value: JsonValue, most: int = _LONGEST_JSON) -> str:
    """Return a JSON value for a person, shortened to `most` characters. A string has no quotes around it."""
    if isinstance(value, str):
        text = value
    else:
        text = msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
        if len(text) < 100:
            text = msgspec.json.format(text, indent=0)
    return text if len(text) <= most else text[:most] + f"… (all: {len(text)} characters)"


def plural(count: float, noun: str) -> str:
    """Return a count with its noun, such as `1 job` or `2 jobs`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def code(text: str) -> Markup:
    """Return a sentence as markup, with the parts between backticks as code."""
    text = text.translate(_UNSAFE)
    parts = text.split("`")
    if len(parts) % 2 == 0:
        return escape(text)
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if n % 2 else escape(part) for n, part in enumerate(parts)
    )


FILTERS: dict[str, Callable[..., str]] = {
    "ago": ago,
    "clock": when,
    "code": code,
    "coming": coming,
    "doc": doc,
    "exact": exact,
    "joules": joules,
    "lasting": lasting,
    "number": number,
    "plural": plural,
    "pretty": pretty,
    "seconds": seconds,
    "short": short,
    "size": size,
    "tone": tone,
}
