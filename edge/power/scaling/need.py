"""Computes how many workers the backlog needs, before the limits of the board are applied."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from edge.config.scaling import ScaleMode
from edge.config.workers import WorkerEntry
from edge.core.text import duration
from edge.model import ALLOWED, Power
from edge.power.scaling.backlog import KindBacklog
from edge.power.scaling.board import Board


class Need(msgspec.Struct, frozen=True):
    """The number of processes of the entry that the backlog needs, and the reason."""

    count: int
    why: str
    urgent: int = 0  # part of `count` that class `always` needs


def need(rule: WorkerEntry, rows: Sequence[KindBacklog], board: Board, *, wanted: int) -> Need:
    """Return the number of processes that `rows` need.

    Args:
        rule: the entry that is scaled.
        rows: the open jobs that its workers take. Jobs that power does not allow now need no process.
        board: states of the workers.
        wanted: number of processes of the previous decision.
    """
    waiting = any(row.queued > 0 for row in rows)
    rows = [row for row in rows if row.power in ALLOWED[board.power] and row.jobs > 0]
    if waiting and not rows:
        return Need(0, f"power is {board.power}: no job that waits may run")
    count, why = (_by_tasks if rule.mode is ScaleMode.TASKS else _by_work)(rule, rows, board, wanted)
    urgent = _urgent(rows, board)
    if urgent > count:
        return Need(urgent, "a job of class always waits behind a held one", urgent)
    return Need(count, why, urgent)


def _by_work(rule: WorkerEntry, rows: Sequence[KindBacklog], board: Board, wanted: int) -> tuple[int, str]:
    jobs, work_s = sum(row.jobs for row in rows), sum(row.work_s(rule) for row in rows)
    if not jobs:
        return 0, "no job waits"
    # With more workers than jobs, some workers would be idle, however long the jobs are.
    total = min(math.ceil(work_s / (rule.drain_target_s * rule.bodies)), math.ceil(jobs / rule.bodies))
    # Kinds that take no measurable time still need one worker.
    free = board.fixed + wanted - board.held
    count = max(0, max(1, total) - board.fixed + board.held)  # a worker whose job is held does not work on others
    why = f"{_jobs(jobs)} of {duration(work_s, fine=True)} of work, to be done in {duration(rule.drain_target_s)}"
    if count > wanted and rule.start_cost_s > 0 and free > 0:
        left_s = work_s - free * rule.bodies * rule.start_cost_s
        useful = wanted + max(0, math.ceil(left_s / (rule.start_cost_s * rule.bodies)))
        if useful < count:
            return useful, f"{why}: the rest is done before another has started"
    return count, why


def _by_tasks(rule: WorkerEntry, rows: Sequence[KindBacklog], board: Board, wanted: int) -> tuple[int, str]:
    jobs = sum(row.jobs for row in rows)
    count = max(0, min(math.ceil(jobs / rule.rate_per_min), math.ceil(jobs / rule.bodies)) - board.fixed + board.held)
    why = f"{_jobs(jobs)} at {rule.rate_per_min:g} a minute"
    if jobs >= rule.up_at:
        return max(count, wanted), why
    if jobs <= rule.down_at:
        return min(count, wanted), why
    return wanted, f"{_jobs(jobs)}, between {rule.down_at} and {rule.up_at}"


def _urgent(rows: Sequence[KindBacklog], board: Board) -> int:
    """Return the number of processes that leaves one free for class `always`, if a held job blocks every worker."""
    waits = any(row.power is Power.ALWAYS and row.queued > 0 for row in rows)
    if not waits or board.held == 0 or board.held < board.fixed + board.running:
        return 0
    return board.held - board.fixed + 1 if board.held >= board.fixed else 0


def _jobs(count: int) -> str:
    return f"{count} job{'' if count == 1 else 's'}"
