"""The fate of slots. Each slot has one fate, whatever the clock and the power do."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.model import Fate, Missed
from edge.schedule.cron import Cron
from edge.schedule.slots import (
    COUNT_MOST,
    MOST_AT_ONCE,
    Decision,
    Interval,
    Rule,
    Times,
    Without,
    around,
    count_times,
    decide,
    last_time,
    rewound,
)
from edge.schedule.zone import zone

_NOW = 1_800_000_000
_YEAR_S = 365 * 86_400
EVERY_10_S = Interval(10)


def _times(times: Times, after: int, until: int) -> list[int]:
    found, at = list[int](), times.after(after)
    while at is not None and at <= until:
        found.append(at)
        at = times.after(at)
    return found


def _fates(decisions: list[Decision]) -> list[tuple[int, Fate]]:
    return [(each.count, each.fate) for each in decisions]


def test_a_slot_that_is_due_runs() -> None:
    (found,) = decide(EVERY_10_S, Rule(), cursor=_NOW, since=_NOW, now=_NOW + 10.2)
    assert (found.first, found.fate, found.missed) == (_NOW + 10, Fate.RAN, False)


def test_nothing_is_due_before_its_time() -> None:
    assert decide(EVERY_10_S, Rule(), cursor=_NOW, since=_NOW, now=_NOW + 9.9) == []


def test_jitter_lets_a_slot_run_later() -> None:
    rule = Rule(delay_s=5.0)
    assert decide(EVERY_10_S, rule, cursor=_NOW, since=_NOW, now=_NOW + 14.9) == []
    assert [each.first for each in decide(EVERY_10_S, rule, cursor=_NOW, since=_NOW, now=_NOW + 15)] == [_NOW + 10]


@pytest.mark.parametrize(
    ("missed", "fates"),
    [
        (Missed.LAST, [(4, Fate.COALESCED), (1, Fate.RAN)]),
        (Missed.ALL, [(1, Fate.RAN)] * 5),
        (Missed.SKIP, [(5, Fate.SKIPPED)]),
    ],
)
def test_slots_missed_without_power(missed: Missed, fates: list[tuple[int, Fate]]) -> None:
    found = decide(EVERY_10_S, Rule(missed), cursor=_NOW, since=_NOW + 55, now=_NOW + 55)
    assert _fates(found) == fates


def test_slots_that_were_due_while_the_gateway_ran_were_not_missed() -> None:
    """If the gateway was busy or its disk was full, each slot still gets its own job."""
    found = decide(EVERY_10_S, Rule(Missed.SKIP), cursor=_NOW, since=_NOW, now=_NOW + 55)
    assert _fates(found) == [(1, Fate.RAN)] * 5


@pytest.mark.parametrize("missed", list(Missed))
def test_a_jump_by_years_makes_no_storm(missed: Missed) -> None:
    found = decide(EVERY_10_S, Rule(missed), cursor=_NOW, since=_NOW + 10 * _YEAR_S, now=_NOW + 10 * _YEAR_S)
    assert sum(each.fate is Fate.RAN for each in found) <= MOST_AT_ONCE
    assert found[0].first == _NOW + 10
    assert found[-1].last == _NOW + 10 * _YEAR_S
    assert found[0].count in {1, COUNT_MOST}


def test_a_ledger_that_takes_no_writes_for_a_day_makes_no_storm() -> None:
    found = decide(EVERY_10_S, Rule(), cursor=_NOW, since=_NOW, now=_NOW + 86_400)
    assert sum(each.fate is Fate.RAN for each in found) == 1


def test_a_slot_that_is_too_late_is_skipped() -> None:
    late = decide(EVERY_10_S, Rule(within_s=3), cursor=_NOW, since=_NOW, now=_NOW + 14)
    assert [(each.fate, each.reason) for each in late] == [(Fate.SKIPPED, "too late by 1 s: within_s is 3")]


def test_none_of_the_missed_slots_runs_when_the_last_is_too_late() -> None:
    found = decide(EVERY_10_S, Rule(within_s=3), cursor=_NOW, since=_NOW + 58, now=_NOW + 58)
    assert _fates(found) == [(5, Fate.SKIPPED)]


def test_of_all_missed_slots_those_in_time_run() -> None:
    found = decide(EVERY_10_S, Rule(Missed.ALL, within_s=25), cursor=_NOW, since=_NOW + 55, now=_NOW + 55)
    assert _fates(found) == [(2, Fate.SKIPPED), (1, Fate.RAN), (1, Fate.RAN), (1, Fate.RAN)]


def test_the_cursor_goes_back_with_the_clock() -> None:
    assert rewound(_NOW + _YEAR_S, _NOW + 0.5) == _NOW


def test_a_range_is_cut_around_slots_that_have_run() -> None:
    ran = frozenset({_NOW + 20, _NOW + 30})
    whole = Decision(_NOW + 10, _NOW + 50, 3, Fate.SKIPPED, "why")
    pieces = list(around(EVERY_10_S, whole, ran))
    assert [(each.first - _NOW, each.last - _NOW, each.count) for each in pieces] == [(10, 10, 1), (40, 50, 2)]


@settings(deadline=None, max_examples=40)
@given(
    st.integers(0, 2 * 86_400), st.integers(1, 3 * 86_400), st.sampled_from(["* * * * *", "7 3 * * *", "*/7 1,2 * * *"])
)
def test_the_last_time_is_that_of_a_walk(after: int, length: int, expression: str) -> None:
    times = Cron(expression, zone("Europe/Berlin"))
    start = 1_792_800_000 + after  # around a change of the clock
    walked = _times(times, start, start + length)
    assert count_times(times, start, start + length) == min(len(walked), COUNT_MOST)
    if walked:
        assert last_time(times, start, start + length) == walked[-1]


class _Ledger:
    """Keeps a schedule in memory in place of the ledger: the fates and the number of jobs of each slot."""

    def __init__(self, times: Times, rule: Rule, start: int) -> None:
        self.times, self.rule, self.cursor = times, rule, start
        self.fates: dict[int, list[Fate]] = {}
        self.jobs: dict[int, int] = {}
        self.since: float | None = None

    def look(self, now: float) -> None:
        """Do what the gateway does when it wakes up and trusts the clock."""
        if self.since is None or self.since > now:
            self.since = now
        if self.cursor > now:
            self.cursor = rewound(self.cursor, now)
            self.fates = {slot: fates for slot, fates in self.fates.items() if slot <= self.cursor or slot in self.jobs}
        ran = frozenset(slot for slot in self.jobs if slot > self.cursor)
        found = decide(Without(self.times, ran), self.rule, cursor=self.cursor, since=self.since, now=now)
        for decision in found:
            pieces = [decision] if decision.fate is Fate.RAN else around(self.times, decision, ran)
            for piece in pieces:
                left = Without(self.times, ran)
                for slot in _times(left, piece.first - 1, piece.last):
                    self.fates.setdefault(slot, []).append(piece.fate)
                    if piece.fate is Fate.RAN:
                        self.jobs[slot] = self.jobs.get(slot, 0) + 1
        self.cursor = max(self.cursor, int(now - self.rule.delay_s))


_STEPS = st.lists(
    st.tuples(st.sampled_from(["wait", "cut", "jump", "nudge"]), st.floats(-40_000, 40_000, allow_nan=False)),
    max_size=25,
)


@settings(deadline=None)
@given(
    _STEPS,
    st.sampled_from(list(Missed)),
    st.sampled_from([None, 30.0, 5_000.0]),
    st.sampled_from([0.0, 250.0]),
    st.sampled_from([Interval(600), Interval(7), "*/20 2 * * *", "30 2 * * *", "17 * * * *"]),
)
def test_no_slot_is_lost_or_runs_twice(
    steps: list[tuple[str, float]], missed: Missed, within_s: float | None, delay_s: float, what: Interval | str
) -> None:
    """This holds for any sequence of waits, power cuts and jumps of the clock, forwards and back."""
    times = what if isinstance(what, Interval) else Cron(what, zone("Europe/Berlin"))
    start = 1_792_870_000  # hours before a change of the clock
    now = float(start)
    ledger = _Ledger(times, Rule(missed, within_s, delay_s), start)
    ledger.look(now)
    for step, size in steps:
        if step == "wait":
            for _ in range(5):  # the gateway wakes up several times during the wait
                now += abs(size) / 50
                ledger.look(now)
        else:
            now = max(now + (size / 100 if step == "nudge" else size), start - 80_000.0)
            if step != "nudge":
                ledger.since = None
            ledger.look(now)
    assert all(len(fates) == 1 for fates in ledger.fates.values())
    assert all(count == 1 for count in ledger.jobs.values())
    decided = set(ledger.fates)
    assert set(_times(times, start, int(now - delay_s))) <= decided
