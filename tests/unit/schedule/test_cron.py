"""The times of a cron expression, above all around jumps of the local clock."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.core import rfc3339
from edge.core.errors import UsageError
from edge.schedule.cron import Cron, times
from edge.schedule.zone import zone


def _next(expression: str, name: str, start: str, count: int = 3) -> list[str]:
    rules = zone(name)
    after = rfc3339.parsed(start, name="from", zone=rules).timestamp()
    return [rfc3339.text_of(at, rules) for at in times(Cron(expression, rules), after, count)]


def test_fixed_time_in_a_gap_runs_just_after_it() -> None:
    assert _next("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z") == [
        "2026-03-29T03:00:00+02:00",
        "2026-03-30T02:30:00+02:00",
        "2026-03-31T02:30:00+02:00",
    ]


def test_several_fixed_times_in_a_gap_run_once() -> None:
    assert _next("0,20,40 2,3 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", 2) == [
        "2026-03-29T03:00:00+02:00",
        "2026-03-29T03:20:00+02:00",
    ]


def test_fixed_time_that_comes_twice_runs_the_first_time() -> None:
    assert _next("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", 2) == [
        "2026-10-25T02:30:00+02:00",
        "2026-10-26T02:30:00+01:00",
    ]


def test_start_in_the_second_pass_of_an_hour_gives_no_time_before_it() -> None:
    """`cronsim` alone yields 02:45 of the first pass here, which is over."""
    assert _next("45 2 * * *", "Europe/Berlin", "2026-10-25T02:30:00+01:00", 1) == ["2026-10-26T02:45:00+01:00"]


def test_wildcards_follow_real_time() -> None:
    assert _next("*/30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", 5) == [
        "2026-10-25T02:00:00+02:00",
        "2026-10-25T02:30:00+02:00",
        "2026-10-25T02:00:00+01:00",
        "2026-10-25T02:30:00+01:00",
        "2026-10-26T02:00:00+01:00",
    ]
    assert _next("*/30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", 1) == ["2026-03-30T02:00:00+02:00"]


def test_an_evening_that_comes_twice_counts_twice_for_wildcards() -> None:
    """The clock goes back from midnight to 23:00 of the day before. The next matching day is a month later."""
    assert _next("53 * 19 * *", "America/Campo_Grande", "2011-02-19T23:00:00", 3) == [
        "2011-02-19T23:53:00-03:00",
        "2011-02-19T23:53:00-04:00",
        "2011-03-19T00:53:00-04:00",
    ]


def test_half_an_hour_of_change_loses_no_minute() -> None:
    """`cronsim` alone begins at 03:30 here, because it steps by whole hours of real time."""
    assert _next("*/15 3 * * *", "Australia/Lord_Howe", "2026-10-04T00:00:00", 2) == [
        "2026-10-04T03:00:00+11:00",
        "2026-10-04T03:15:00+11:00",
    ]


def test_midnight_that_is_skipped_does_not_exist_for_wildcards() -> None:
    """`cronsim` alone yields 00:00 of that day, which does not exist there."""
    assert _next("*/30 0 * * *", "America/Havana", "2026-03-07T12:00:00", 1) == ["2026-03-09T00:00:00-04:00"]


def test_a_day_that_is_skipped_is_a_gap() -> None:
    assert _next("0 12 30 12 *", "Pacific/Apia", "2011-12-01T00:00:00", 1) == ["2011-12-31T00:00:00+14:00"]


@pytest.mark.parametrize("name", ["@hourly", "@daily", "@midnight", "@weekly", "@monthly", "@yearly", "@annually"])
def test_names_stand_for_expressions(name: str) -> None:
    assert _next(name, "UTC", "2026-01-01T00:30:00Z", 1)


@pytest.mark.parametrize(
    "expression",
    [
        *(
            "",
            "*",
            "* * * *",
            "* * * * * *",
            "@reboot",
            "@often",
            "60 * * * *",
            "* 24 * * *",
            "* * 0 * *",
            "* * * 13 *",
        ),
        *("* * * * 8", "*/0 * * * *", "5-1 * * * *", "1,,2 * * * *", "٣ * * * *", "0 0 30 2 *", "0 0 31 4,6 *"),
        *("0 0 */31 * MON#5", "x" * 5000, "* * * * MON#6", "-1 * * * *", "1e1 * * * *", "\x00 * * * *"),
    ],
)
def test_bad_expressions_get_one_sentence(expression: str) -> None:
    with pytest.raises(UsageError) as caught:
        Cron(expression, zone("UTC"))
    assert str(caught.value).startswith("cron ")
    assert len(str(caught.value)) < 400


def test_a_day_that_no_month_has_is_named_as_such() -> None:
    with pytest.raises(UsageError, match="no month has such a day"):
        Cron("0 0 30 2 *", zone("UTC"))


def test_an_hour_that_never_exists_is_never_due() -> None:
    """In Berlin, 02:xx does not exist on the last Sunday of March."""
    assert _next("*/5 2 * 3 0L", "Europe/Berlin", "2026-01-01T00:00:00Z") == []


@given(st.text(max_size=40) | st.from_regex(r"([0-9*/,LW#-]{1,6} ){4}[0-9*/,LW#-]{1,6}", fullmatch=True))
def test_any_text_is_read_or_refused_in_a_sentence(expression: str) -> None:
    try:
        cron = Cron(expression, zone("Europe/Berlin"))
    except UsageError:
        return
    at = cron.after(1.8e9)
    assert at is None or at > 1.8e9


@given(st.integers(0, 4_000_000_000), st.sampled_from(["0 2 * * *", "*/7 1-3 * * *", "30 */2 L * *"]))
def test_times_rise_and_do_not_depend_on_the_start(start: int, expression: str) -> None:
    cron = Cron(expression, zone("Africa/Casablanca"))
    found = list(times(cron, start, 3))
    assert found == sorted(set(found))
    assert cron.after(found[0] - 1) == found[0]
    assert cron.after(found[0]) == found[1]


class _Counting(Cron):
    """Counts the steps of a search: reads of the rules of the zone, and of months."""

    looks = 0

    def _offset(self, minute: int) -> int:
        self.looks += 1
        return super()._offset(minute)

    def _month(self, year: int, month: int) -> tuple[int, ...]:
        self.looks += 1
        return super()._month(year, month)


@pytest.mark.parametrize(
    "expression",
    [
        "0 0 29 2 */7",
        "*/5 2 * 3 0L",
        "0 0 * 2 MON#5",
        "59 23 31 12 *",
        "* * * * *",
        "* 2 29-31/2 3 *",
        "0-59 0-23 * * *",
    ],
)
def test_no_search_takes_many_steps(expression: str) -> None:
    """A search takes fewer than 5000 steps of about a microsecond each. The aim is less than 10 ms."""
    cron = _Counting(expression, zone("Europe/Berlin"))
    for start in (1.8e9, 1_792_890_000, 1_774_746_000):
        cron.looks = 0
        cron.after(start)
        assert cron.looks < 5_000
