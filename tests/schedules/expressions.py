"""Makes random cron expressions together with the days and times that they match; nothing here parses cron."""

from __future__ import annotations

import calendar
import random
from dataclasses import dataclass
from datetime import date

_WEEKDAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")


@dataclass(frozen=True)
class Field:
    """A field: its text, the numbers that it matches, and the rules for days that depend on the month."""

    text: str
    numbers: frozenset[int]
    last: bool = False  # True for day of month `L`, the last one
    nth: tuple[int, int] | None = None  # (weekday, 0 is Sunday; its ordinal in the month, 0 is the last one)


@dataclass(frozen=True)
class Expression:
    """A cron expression of five fields."""

    minute: Field
    hour: Field
    day: Field
    month: Field
    weekday: Field

    @property
    def text(self) -> str:
        """The expression as a person writes it."""
        return " ".join(field.text for field in (self.minute, self.hour, self.day, self.month, self.weekday))

    @property
    def follows_real_time(self) -> bool:
        """True if it has no fixed time of day; Debian's cron decides this by the first character of a field."""
        return self.minute.text[0] == "*" or self.hour.text[0] == "*"

    def names(self, day: date) -> bool:
        """Return True if the expression matches this day."""
        if day.month not in self.month.numbers:
            return False
        length = calendar.monthrange(day.year, day.month)[1]
        by_day = day.day in self.day.numbers or (self.day.last and day.day == length)
        weekday = day.isoweekday() % 7
        by_weekday = weekday in self.weekday.numbers or (weekday == 0 and 7 in self.weekday.numbers)
        if self.weekday.nth is not None and weekday == self.weekday.nth[0]:
            which = self.weekday.nth[1]
            by_weekday |= day.day > length - 7 if which == 0 else (day.day - 1) // 7 == which - 1
        if self.day.text[0] == "*" or self.weekday.text[0] == "*":
            return by_day and by_weekday
        return by_day or by_weekday


def expressions(seed: int, count: int) -> list[Expression]:
    """Return `count` expressions that each match at least one day; the same seed gives the same expressions."""
    chance = random.Random(seed)
    found = list[Expression]()
    while len(found) < count:
        one = _expression(chance)
        if any(
            one.names(date.fromordinal(day))
            for day in range(date(2000, 1, 1).toordinal(), date(2028, 1, 1).toordinal())
        ):
            found.append(one)
    return found


def _expression(chance: random.Random) -> Expression:
    # Clocks change between 21 and 4 o'clock, so most hours should be there.
    hours = [0, 0, 1, 1, 2, 2, 3, 3, 4, 21, 22, 23, *range(24)]
    return Expression(
        _field(chance, 0, 59, star=0.15, step=0.2),
        _field(chance, 0, 23, star=0.25, step=0.1, likely=hours),
        _day(chance),
        _field(chance, 1, 12, star=0.8, step=0.05, names=_MONTHS),
        _weekday(chance),
    )


def _day(chance: random.Random) -> Field:
    if chance.random() < 0.06:
        return Field("L", frozenset(), last=True)
    return _field(chance, 1, 31, star=0.65, step=0.1)


def _weekday(chance: random.Random) -> Field:
    roll = chance.random()
    if roll < 0.06:
        day, which = chance.randrange(7), chance.randrange(1, 5)
        return Field(f"{day}#{which}", frozenset(), nth=(day, which))
    if roll < 0.1:
        day = chance.randrange(7)
        return Field(f"{day}L", frozenset(), nth=(day, 0))
    return _field(chance, 0, 7, star=0.6, step=0.05, names=_WEEKDAYS)


def _field(
    chance: random.Random,
    low: int,
    high: int,
    *,
    star: float,
    step: float,
    names: tuple[str, ...] = (),
    likely: list[int] | None = None,
) -> Field:
    roll = chance.random()
    if roll < star:
        return Field("*", frozenset(range(low, high + 1)))
    if roll < star + step:
        by = chance.randrange(2, (high - low) // 2 + 2)
        return Field(f"*/{by}", frozenset(range(low, high + 1, by)))
    texts, numbers = list[str](), set[int]()
    for _ in range(chance.choice([1, 1, 1, 2, 3])):
        text, named = _part(chance, low, high, names, likely or list(range(low, high + 1)))
        texts.append(text)
        numbers |= named
    return Field(",".join(texts), frozenset(numbers))


def _part(
    chance: random.Random, low: int, high: int, names: tuple[str, ...], likely: list[int]
) -> tuple[str, set[int]]:
    first = chance.choice(likely)
    roll = chance.random()
    if roll < 0.6:
        named = names and first - low < len(names) and chance.random() < 0.5
        return (names[first - low] if named else f"{first:02}" if roll < 0.1 else str(first)), {first}
    last = chance.randint(first, high)
    if roll < 0.85:
        return f"{first}-{last}", set(range(first, last + 1))
    by = chance.randint(1, 5)
    return f"{first}-{last}/{by}", set(range(first, last + 1, by))
