"""Describes a schedule in plain words, such as `every day at 02:30`."""

from __future__ import annotations

import re
from collections.abc import Sequence

from edge.schedule.cron import Cron

_MOST_TIMES = 4
_DAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_SHORT_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)
_SHORT_MONTHS = tuple(month[:3].upper() for month in _MONTHS)
_UNITS = ((86_400, "day"), (3600, "hour"), (60, "minute"), (1, "second"))


def of_cron(cron: Cron) -> str:
    """Return a description of the expression. Common forms are worded here, all others by `cronsim`."""
    minute, hour, day, month, weekday = cron.fields
    times, days = _clock_times(minute, hour), _days(day, month, weekday)
    if times and days:
        return f"{days} at {_listed(times)}"
    often = _often(minute, hour)
    if often and (day, month, weekday) == ("*", "*", "*"):
        return often
    text = cron.explain()
    return text[:1].lower() + text[1:]


def of_interval(every_s: int) -> str:
    """Return a description of an interval, in the largest unit that divides it."""
    size, unit = next((size, unit) for size, unit in _UNITS if every_s % size == 0)
    count = every_s // size
    return f"every {unit}" if count == 1 else f"every {count} {unit}s"


def _often(minute: str, hour: str) -> str:
    if hour != "*":
        return ""
    if minute == "*":
        return "every minute"
    if minute.isascii() and minute.isdecimal():
        return "every hour" if int(minute) == 0 else f"every hour at minute {int(minute)}"
    step = re.fullmatch(r"\*/([0-9]+)", minute)
    if step and 60 % int(step[1]) == 0:
        return of_interval(int(step[1]) * 60)
    return ""


def _clock_times(minute: str, hour: str) -> list[str]:
    minutes, hours = (_numbers(field) for field in (minute, hour))
    times = [f"{at:02}:{past:02}" for at in hours for past in minutes]
    return times if len(times) <= _MOST_TIMES else []


def _days(day: str, month: str, weekday: str) -> str:
    if (day, month) == ("*", "*"):
        return _weekdays(weekday)
    if weekday != "*":
        return ""
    days, months = _numbers(day), _numbers(month, _SHORT_MONTHS, first=1)
    if month == "*" and days:
        return f"every month on day {_listed(days)}"
    if month == "*" and day.upper() == "L":
        return "every month on the last day"
    if len(days) == 1 and len(months) == 1:
        return f"every year on {days[0]} {_MONTHS[months[0] - 1]}"
    return ""


def _weekdays(field: str) -> str:
    if field == "*":
        return "every day"
    between = re.fullmatch(r"([0-7]|[A-Za-z]{3})-([0-7]|[A-Za-z]{3})", field)
    if between:
        first, last = (_numbers(end, _SHORT_DAYS)[0] for end in between.groups())
        return f"every {_DAYS[first]} to {_DAYS[last]}"
    named = sorted({day % 7 for day in _numbers(field, _SHORT_DAYS)})
    return f"every {_listed([_DAYS[day] for day in named])}" if named else ""


def _numbers(field: str, names: Sequence[str] = (), *, first: int = 0) -> list[int]:
    """Return the numbers of a list such as `1,3` or `MON,FRI` in ascending order, or [] if the field is not a list."""
    found = set[int]()
    for part in field.upper().split(","):
        if part in names:
            found.add(names.index(part) + first)
        elif part.isascii() and part.isdecimal():
            found.add(int(part))
        else:
            return []
    return sorted(found)


def _listed(items: Sequence[object]) -> str:
    texts = [str(item) for item in items]
    return " and ".join(filter(None, (", ".join(texts[:-1]), texts[-1])))
