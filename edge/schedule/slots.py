"""Decides for each due slot of a schedule whether it runs, is skipped or is merged with others. Pure functions.

A slot is a time at which a schedule is due. All slots up to the `cursor` of a schedule are decided. A decision covers
all slots after the cursor that are due now. So no slot is lost or decided twice, whatever the clock does:
- After a jump ahead, many slots are due at once. The slots before `since` were missed, and the rule `missed` decides.
- After a jump back, the cursor lies ahead of the time. `rewound` moves it back. Slots that have run keep their fate;
  the others get a new decision when their time comes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import msgspec

from edge.core.text import duration
from edge.model import Fate, Missed

#: Largest number of slots that run at once after a jump of the clock or a long time without power.
MOST_AT_ONCE = 100
#: Counting stops at this number, because nobody needs the exact one.
COUNT_MOST = 100
_WALK = 4 * MOST_AT_ONCE


class Times(Protocol):
    """The times of a schedule."""

    def after(self, at: float) -> int | None:
        """Return the first time after `at`, or None if there is none. Times are seconds since the epoch."""


class Interval:
    """Times at multiples of `every_s` since 1970 in UTC. So neither a restart nor a jump of the clock moves them."""

    def __init__(self, every_s: int) -> None:
        self.every_s = every_s

    def after(self, at: float) -> int | None:
        """Return the first time after `at`."""
        return (int(at // self.every_s) + 1) * self.every_s


class Rule(msgspec.Struct, frozen=True):
    """The rule of a schedule for slots that cannot run in time."""

    missed: Missed = Missed.LAST
    within_s: float | None = None  # a slot that is later than this is skipped; None for no limit
    delay_s: float = 0.0  # time from each slot to its start: the delay that was chosen within `jitter_s`


class Decision(msgspec.Struct, frozen=True):
    """The fate of one slot, or of several consecutive slots."""

    first: int
    last: int
    count: int  # number of slots; `COUNT_MOST` stands for that number or more
    fate: Fate  # with `RAN`, the caller makes a job for the slot
    reason: str = ""
    missed: bool = False  # the slot runs late, because the board was off or did not know the time


def decide(times: Times, rule: Rule, *, cursor: int, since: float, now: float) -> list[Decision]:
    """Decide all slots after `cursor` that are due at `now`, in order.

    Args:
        times: the times of the schedule.
        rule: the rule of the schedule.
        cursor: all slots up to this time are decided.
        since: the gateway has watched the time without a break since this time. Earlier slots were missed.
        now: seconds since the epoch, from a trusted clock.
    """
    due = int(now - rule.delay_s)
    first = times.after(cursor)
    if first is None or first > due:
        return []
    live = list(_few(times, max(cursor, int(since - rule.delay_s)), due, MOST_AT_ONCE + 1))
    if len(live) > MOST_AT_ONCE:  # the ledger could not be written for a long time: treat these slots as missed
        live = []
    until = live[0] - 1 if live else due
    found = list(_missed(times, rule, cursor, until, now)) if first <= until else []
    for slot in live:
        late_s = now - rule.delay_s - slot
        if rule.within_s is not None and late_s > rule.within_s:
            found.append(_skipped(slot, slot, 1, _too_late(late_s, rule.within_s)))
        else:
            found.append(Decision(slot, slot, 1, Fate.RAN))
    return found


def rewound(cursor: int, now: float) -> int:
    """Return the cursor after a jump of the clock. It is never ahead of `now`, because later slots are not decided."""
    return min(cursor, int(now))


def _missed(times: Times, rule: Rule, cursor: int, until: int, now: float) -> Iterator[Decision]:
    """Decide the missed slots after `cursor` up to `until`. There must be at least one."""
    if rule.missed is Missed.SKIP:
        yield _range(times, cursor, until, Fate.SKIPPED, "missed: the board was off, or did not know the time")
        return
    last = last_time(times, cursor, until)
    late_s = now - rule.delay_s - last
    if rule.within_s is not None and late_s > rule.within_s:
        yield _range(times, cursor, until, Fate.SKIPPED, _too_late(late_s, rule.within_s))
        return
    if rule.missed is Missed.LAST:
        before = times.after(cursor)
        if before is not None and before < last:
            yield _range(times, cursor, last - 1, Fate.COALESCED, "missed: the last of the missed slots ran for all")
        yield Decision(last, last, 1, Fate.RAN, missed=True)
        return
    in_time = cursor if rule.within_s is None else max(cursor, int(now - rule.delay_s - rule.within_s) - 1)
    runs = _last_few(times, in_time, last)
    if rule.within_s is not None:
        runs = [slot for slot in runs if now - rule.delay_s - slot <= rule.within_s]
    before = times.after(cursor)
    if before is not None and before < runs[0]:
        late_s = now - rule.delay_s - last_time(times, cursor, runs[0] - 1)
        too_late = rule.within_s is not None and late_s > rule.within_s
        why = _too_late(late_s, rule.within_s or 0.0) if too_late else f"missed: only the last {MOST_AT_ONCE} run"
        yield _range(times, cursor, runs[0] - 1, Fate.SKIPPED, why)
    for slot in runs:
        yield Decision(slot, slot, 1, Fate.RAN, missed=True)


def last_time(times: Times, after: int, until: int) -> int:
    """Return the last time after `after` and up to `until`. Raises ValueError if there is none.

    It is a binary search, because a year has half a million minutes.
    """
    found = times.after(after)
    if found is None or found > until:
        raise ValueError(f"no time after {after} up to {until}")
    above = until
    while above - found > 1:
        middle = (found + above) // 2
        later = times.after(middle)
        if later is not None and later <= until:
            found = later
        else:
            above = middle
    later = times.after(found)
    return later if later is not None and later <= until else found


def count_times(times: Times, after: int, until: int) -> int:
    """Return the number of times after `after` and up to `until`, at most `COUNT_MOST`."""
    if isinstance(times, Interval):
        return min(until // times.every_s - after // times.every_s, COUNT_MOST)
    return sum(1 for _ in _few(times, after, until, COUNT_MOST))


def _last_few(times: Times, after: int, last: int) -> list[int]:
    """Return the last `MOST_AT_ONCE` times after `after` up to `last`. `last` is the last of them."""
    span_s = 60
    while True:
        start = max(after, last - span_s)
        found = list(_few(times, start, last, _WALK))
        if len(found) == _WALK:  # the span has more times than were listed: collect backwards from `last`
            found = [last]
            while len(found) < MOST_AT_ONCE:
                found.insert(0, last_time(times, start, found[0] - 1))
        if start == after or len(found) >= MOST_AT_ONCE:
            return found[-MOST_AT_ONCE:]
        span_s *= 2


def skipped_while_paused(times: Times, cursor: int, now: float) -> Decision | None:
    """Return a decision that skips the slots that were due while the schedule was paused, or None if none was due."""
    first, until = times.after(cursor), int(now)
    if first is None or first > until:
        return None
    return _range(times, cursor, until, Fate.SKIPPED, "paused")


def _few(times: Times, after: int, until: int, most: int) -> Iterator[int]:
    at: int | None = after
    for _ in range(most):
        at = times.after(at) if at is not None else None
        if at is None or at > until:
            return
        yield at


def _range(times: Times, after: int, until: int, fate: Fate, reason: str) -> Decision:
    first = times.after(after)
    last = last_time(times, after, until)
    return Decision(last if first is None else first, last, count_times(times, after, until), fate, reason)


def _skipped(first: int, last: int, count: int, reason: str) -> Decision:
    return Decision(first, last, count, Fate.SKIPPED, reason)


def _too_late(late_s: float, within_s: float) -> str:
    return f"too late by {duration(late_s - within_s)}: within_s is {within_s:g}"


class Without:
    """The times of a schedule without the slots that ran before the clock went back."""

    def __init__(self, times: Times, ran: frozenset[int]) -> None:
        self._times, self._ran = times, ran

    def after(self, at: float) -> int | None:
        """Return the first time after `at` whose slot has not run, or None if there is none."""
        found = self._times.after(at)
        while found in self._ran:
            found = self._times.after(found)
        return found


def around(times: Times, decision: Decision, ran: frozenset[int]) -> Iterator[Decision]:
    """Yield the parts of `decision` between the slots that have run already, so that each slot has one fate."""
    left = Without(times, ran)
    after = decision.first - 1
    for end in (*sorted(slot for slot in ran if decision.first < slot < decision.last), decision.last + 1):
        first = left.after(after)
        if first is not None and first < end:
            yield _range(left, after, end - 1, decision.fate, decision.reason)
        after = end
