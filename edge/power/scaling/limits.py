"""Computes how many workers the board allows, and which limit is the lowest."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import msgspec

from edge.config.scaling import AUTO
from edge.config.workers import WorkerEntry
from edge.core.text import size
from edge.model import ALLOWED, PowerState
from edge.power.scaling.backlog import KindBacklog
from edge.power.scaling.board import Board

_ORDINALS = ("one", "a second", "a third", "a fourth", "a fifth", "a sixth", "a seventh", "an eighth", "a ninth")


class Limit(msgspec.Struct, frozen=True):
    """The largest number of processes of the entry, and the reason why there may not be more."""

    count: int
    why: str


def nearest(rule: WorkerEntry, rows: Sequence[KindBacklog], board: Board, *, urgent: int, wanted: int) -> Limit:
    """Return the lowest limit, but never less than `rule.min`.

    Args:
        rule: the entry that is scaled.
        rows: the open jobs that its workers take.
        board: free resources of the board.
        urgent: number of processes that class `always` needs. Low power does not limit these.
        wanted: number of processes of the previous decision.
    """
    found = min(_limits(rule, rows, board, urgent, wanted), key=lambda limit: limit.count)
    return Limit(max(rule.min, found.count), found.why if found.count >= rule.min else f"min is {rule.min}")


def top(rule: WorkerEntry, board: Board) -> int:
    """Return the largest number of processes that this board ever runs: the second number in `2 of 4`."""
    return max(rule.min, min(rule.most, max(0, board.cores - board.fixed))) if rule.max == AUTO else rule.most


def _limits(rule: WorkerEntry, rows: Sequence[KindBacklog], board: Board, urgent: int, wanted: int) -> Iterator[Limit]:
    yield Limit(rule.most, f"max is {rule.most}")
    # A held job uses no core.
    cores = max(0, board.cores - board.fixed + board.held)
    yield Limit(cores, f"{board.cores} core{' is' if board.cores == 1 else 's are'} in use")
    if board.failing:
        yield Limit(max(wanted, board.running), f"{board.failing} of them crash again and again")
    if not ALLOWED[board.power]:
        yield Limit(0, f"power is {board.power}")
    elif board.power is PowerState.LOW:
        yield Limit(urgent, f"power is {board.power}")
    rows = [row for row in rows if row.power in ALLOWED[board.power] and row.jobs > 0]
    if not rows:
        return
    if board.memory_left_bytes is not None:
        peak = max(rule.guess_bytes if row.peak_bytes is None else max(1, row.peak_bytes) for row in rows)
        left = board.memory_left_bytes - rule.reserve_bytes
        count = max(0, board.running + math.floor(left / peak))
        yield Limit(count, f"{_another(count)} would need {size(peak)} of memory, {size(max(0, left))} are left")
    if board.watts_left is not None:
        watts = max(board.core_watts if row.watts is None else row.watts for row in rows)
        fit = board.watts_left / watts if watts > 0 else math.inf
        count = max(0, board.running + math.floor(max(-board.running, min(rule.most, fit))))
        why = f"{_another(count)} would draw {watts:.1f} W, {max(0.0, board.watts_left):.1f} W are left"
        yield Limit(max(urgent, count), why)


def _another(count: int) -> str:
    return _ORDINALS[count] if count < len(_ORDINALS) else f"number {count + 1}"
