"""Next times beside a search by minutes: a few of what `make schedule-times` compares."""

from __future__ import annotations

from tests.schedules.compare import clocks, compare, read

#: Changes of an hour by day and at midnight, of half an hour, of two hours, of a day; twice a year four times over.
_ZONES = [
    *("Europe/Berlin", "America/Havana", "Australia/Lord_Howe", "Antarctica/Troll", "Pacific/Apia"),
    *("Africa/Casablanca", "America/St_Johns", "Asia/Gaza", "Asia/Pyongyang"),
]


def test_times_are_those_of_a_search_by_minutes() -> None:
    span = {"year": 2011, "years": 1}
    differences, compared = compare(clocks(read(_ZONES, **span)), seed=7, count=12, **span)
    assert differences == []
    assert compared > 10_000
