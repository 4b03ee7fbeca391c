"""Decides how many workers run, and why, from the previous state, the backlog, the free resources and the time.

While the limits do not change and no count is set by hand, the count changes at most
`(N + 1) * (3600 / down_after_s + 1)` times an hour, for any backlog, where N is `max - min`. The reason: a count falls
only `down_after_s` after the last change, and between two falls it can only rise. After a limit such as memory or power
has lowered the count, it does not rise for `down_after_s`, except up to `min` and for jobs of class `always`.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from edge.config.workers import WorkerEntry
from edge.core.text import duration
from edge.power.scaling.backlog import KindBacklog
from edge.power.scaling.board import Board
from edge.power.scaling.limits import Limit, nearest, top
from edge.power.scaling.need import Need, need
from edge.power.scaling.state import ScaleState, remember


class Decision(msgspec.Struct, frozen=True):
    """The number of processes of the entry that must run."""

    wanted: int
    why: str  # one sentence
    state: ScaleState  # for the next decision
    look_s: float | None = None  # monotonic time of the next decision; None if only a change can lead to another one


class Hand(msgspec.Struct, frozen=True):
    """A number of processes that a person set for a limited time."""

    count: int
    until_s: float  # monotonic


def decide(
    rule: WorkerEntry,
    rows: Sequence[KindBacklog],
    board: Board,
    state: ScaleState,
    *,
    now_s: float,
    hand: Hand | None = None,
) -> Decision:
    """Return the number of processes of `rule` that must run now.

    Args:
        rule: a scaled entry of `workers:`.
        rows: the open jobs that its workers take.
        board: free resources, and states of the workers.
        state: from the previous decision, or a new one.
        now_s: monotonic seconds.
        hand: the number that a person set, or None. It is followed as far as the board allows.
    """
    asked = need(rule, rows, board, wanted=state.wanted)
    urgent_s = now_s if asked.urgent else state.urgent_s
    recent = urgent_s is not None and now_s < urgent_s + rule.down_after_s
    urgent = max(asked.urgent, min(1, state.wanted) if recent else 0)
    limit = nearest(rule, rows, board, urgent=urgent, wanted=state.wanted)
    by_hand = hand is not None and now_s < hand.until_s
    count = min(limit.count, max(rule.min, asked.count))
    peaks = remember(state, count, now_s=now_s, window_s=rule.down_after_s)
    state = msgspec.structs.replace(
        state,
        asked=count,
        peaks=peaks,
        urgent_s=urgent_s if recent else None,
        above_s=None if count <= state.wanted else now_s if state.above_s is None else state.above_s,
    )
    if hand is not None and by_hand:
        return _by_hand(rule, board, state, hand, limit, now_s)
    if state.wanted > limit.count:
        return _decision(rule, board, _changed(state, limit.count, now_s, forced=True), limit.why)
    if count > state.wanted:
        return _up(rule, board, state, asked, limit, now_s)
    return _down(rule, board, state, asked, limit, now_s)


def _up(rule: WorkerEntry, board: Board, state: ScaleState, asked: Need, limit: Limit, now_s: float) -> Decision:
    at_once = max(rule.min, min(asked.urgent, limit.count))
    begins_s = now_s if state.above_s is None else state.above_s + rule.up_after_s
    if state.forced_s is not None:
        begins_s = max(begins_s, state.forced_s + rule.down_after_s)
    if begins_s <= now_s:
        why = limit.why if asked.count > limit.count else asked.why
        return _decision(rule, board, _changed(state, state.asked, now_s), why)
    if at_once > state.wanted:
        state = _changed(state, at_once, now_s)
    why = f"{_needed(state.asked)}, and may start in {duration(begins_s - now_s)}"
    return _decision(rule, board, state, why, look_s=begins_s)


def _down(rule: WorkerEntry, board: Board, state: ScaleState, asked: Need, limit: Limit, now_s: float) -> Decision:
    high = min(limit.count, max((state.asked, *(peak.count for peak in state.peaks))))
    why = limit.why if asked.count > limit.count else asked.why
    if state.asked == state.wanted:
        return _decision(rule, board, state, why)
    falls_s = state.changed_s + rule.down_after_s if state.changed_s is not None else now_s
    if high < state.wanted and falls_s <= now_s:
        state = _changed(state, high, now_s)
        falls_s = now_s + rule.down_after_s
        if state.asked == state.wanted:
            return _decision(rule, board, state, why)
    # The count can fall when no peak in the window is as high as the present count.
    leaves_s = [peak.until_s + rule.down_after_s for peak in state.peaks if peak.count >= state.wanted]
    look_s = max(falls_s, max(leaves_s, default=now_s))
    why = f"{_needed(state.asked)}; the count stays for another {duration(look_s - now_s)}"
    return _decision(rule, board, state, why, look_s=look_s)


def _by_hand(rule: WorkerEntry, board: Board, state: ScaleState, hand: Hand, limit: Limit, now_s: float) -> Decision:
    count = min(hand.count, limit.count)
    if count != state.wanted:
        state = _changed(state, count, now_s)
    why = limit.why if hand.count > count else "set by hand"
    return _decision(rule, board, state, f"{why}, for another {duration(hand.until_s - now_s)}", look_s=hand.until_s)


def _needed(count: int) -> str:
    return f"{count} {'is' if count == 1 else 'are'} needed"


def _changed(state: ScaleState, wanted: int, now_s: float, *, forced: bool = False) -> ScaleState:
    return msgspec.structs.replace(
        state,
        wanted=wanted,
        changed_s=now_s,
        above_s=None,
        forced_s=now_s if forced else state.forced_s,
    )


def _decision(rule: WorkerEntry, board: Board, state: ScaleState, why: str, *, look_s: float | None = None) -> Decision:
    return Decision(state.wanted, f"{state.wanted} of {top(rule, board)}: {why}", state, look_s)
