"""Reads times of day. They are in quotes in the file, because YAML 1.1 reads 22:00 as a number."""

from __future__ import annotations

import re
from typing import Annotated

from msgspec import Meta

from edge.core.errors import ConfigError

# The type accepts numbers, so that `check_time` can refuse them with an error that shows the right form.
TimeOfDay = Annotated[str | int, Meta(description='a time of day such as 22:00, in quotes: "22:00"')]
_TIME = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")


def check_time(key: str, value: str | int) -> None:
    """Raise ConfigError if `value` is not a time of day."""
    if not (isinstance(value, str) and _TIME.fullmatch(value)):
        raise ConfigError(key, value, f"expected a time of day such as 22:00{_quoted(value)}")


def minute_of(value: str | int) -> int:
    """Return the minute of the day of a time that `check_time` has accepted."""
    return int(value[:2]) * 60 + int(value[3:]) if isinstance(value, str) else value


def _quoted(value: str | int) -> str:
    """Return a hint how to write a time that is a number or has no colon, or an empty string if none is known."""
    digits = str(value).replace(":", "")
    if not re.fullmatch(r"[0-9]{1,4}", digits):
        return ""
    hours, minutes = divmod(int(digits), 100)
    if hours > 23 or minutes > 59:
        return ", in quotes"
    return f', in quotes: "{hours:02}:{minutes:02}"'
