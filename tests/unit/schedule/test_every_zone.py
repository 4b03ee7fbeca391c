"""Compares next times with a search minute by minute, for a small part of what `make schedule-times` compares."""

from __future__ import annotations

from tests.schedules.compare import clocks, compare, read

#: Zones whose clock changes by an hour at night or at midnight, by half an hour, by two hours or by a day, and zones
#: that change four times a year.
_ZONES = [
    *("Europe/Berlin", "America/Havana", "Australia/Lord_Howe", "Antarctica/Troll", "Pacific/Apia"),
    *("Africa/Casablanca", "America/St_Johns", "Asia/Gaza", "Asia/Pyongyang"),
]


def test_times_are_those_of_a_search_by_minutes() -> None:
    span = {"year": 2011, "years": 1}
    differences, compared = compare(clocks(read(_ZONES, **span)), seed=7, count=12, **span)
    assert differences == []
    assert compared > 10_000
