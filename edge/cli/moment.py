"""The type of an option that is a time. Without an offset, the time is in the time zone of this computer."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

import click

_CLOCK = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)(?::([0-5]\d))?", re.ASCII)
_LOCAL = re.compile(r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d)(?::(\d\d))?", re.ASCII)


class Moment(click.ParamType):  # type: ignore[type-arg] # generic only since click 8.4
    """Accepts `17:30`, `2026-12-24 17:30`, or RFC 3339 with an offset. The board checks the latter itself."""

    name = "time"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return `value` as RFC 3339. A time of day that has passed today is that of tomorrow."""
        text = str(value)
        if found := _CLOCK.fullmatch(text):
            now = datetime.now()  # noqa: DTZ005 - in this computer's time zone, which `astimezone` adds
            at = now.replace(hour=int(found[1]), minute=int(found[2]), second=int(found[3] or 0), microsecond=0)
            return (at if at > now else at + timedelta(days=1)).astimezone().isoformat()
        if found := _LOCAL.fullmatch(text):
            try:
                year, month, day, hour, minute, second = (int(part or 0) for part in found.groups())
                return datetime(year, month, day, hour, minute, second).astimezone().isoformat()
            except (ValueError, OverflowError, OSError) as err:
                self.fail(f"{value!r} is not a time: {err}", param, ctx)
        if not re.match(r"\d{4}-", text):
            expected = "expected 17:30, '2026-12-24 17:30' or 2026-12-24T17:30:00+01:00"
            self.fail(f"{value!r} is not a time: {expected}", param, ctx)
        return text
