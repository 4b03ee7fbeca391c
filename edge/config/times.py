"""Times of day as a person writes them: in quotes, because YAML reads 22:00 as a number."""

from __future__ import annotations

import re
from typing import Annotated

from msgspec import Meta

from edge.core.errors import ConfigError

# Numbers are taken here and refused by `checked_time`, which then can say how the person has to write them.
TimeOfDay = Annotated[str | int, Meta(description='a time of day such as 22:00, in quotes: "22:00"')]
_TIME = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")


def check_time(key: str, value: str | int) -> None:
    """Raise ConfigError where `value` is no time of day."""
    if not (isinstance(value, str) and _TIME.fullmatch(value)):
        raise ConfigError(key, value, f"expected a time of day such as 22:00{_quoted(value)}")


def minute_of(value: str | int) -> int:
    """Minutes of the day of a time that was checked."""
    return int(value[:2]) * 60 + int(value[3:]) if isinstance(value, str) else value


def _quoted(value: str | int) -> str:
    """How to write a time that was given as a number, or without its colon; an empty string where nobody knows."""
    digits = str(value).replace(":", "")
    if not re.fullmatch(r"[0-9]{1,4}", digits):
        return ""
    hours, minutes = divmod(int(digits), 100)
    if hours > 23 or minutes > 59:
        return ", in quotes"
    return f', in quotes: "{hours:02}:{minutes:02}"'
