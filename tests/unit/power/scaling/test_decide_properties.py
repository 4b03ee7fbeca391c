"""Properties of the scaling rule that hold for any sequence of backlog, power, memory and watts."""

from __future__ import annotations

import math

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.config.scaling import ScaleMode
from edge.config.workers import WorkerEntry
from edge.model import ALLOWED, Power, PowerState
from edge.power.scaling.backlog import KindBacklog
from edge.power.scaling.board import Board
from edge.power.scaling.decide import decide
from edge.power.scaling.need import need
from edge.power.scaling.state import ScaleState

relaxed = settings(deadline=None, max_examples=100)

kinds = st.builds(
    KindBacklog,
    kind=st.sampled_from(["a", "b", "c"]),
    power=st.sampled_from(Power),
    queued=st.integers(0, 3000),
    running=st.integers(0, 8),
    seconds=st.none() | st.floats(0.001, 10_000),
    peak_bytes=st.none() | st.integers(0, 1 << 31),
    watts=st.none() | st.floats(0, 10),
)
backlogs = st.lists(kinds, max_size=4)
boards = st.builds(
    Board,
    cores=st.integers(1, 16),
    fixed=st.integers(0, 4),
    held=st.integers(0, 3),
    failing=st.integers(0, 2),
    memory_left_bytes=st.none() | st.integers(0, 1 << 33),
    watts_left=st.none() | st.floats(-5, 50),
    power=st.sampled_from(PowerState),
)


@st.composite
def entries(draw: st.DrawFn) -> WorkerEntry:
    least, most = sorted(draw(st.tuples(st.integers(0, 8), st.integers(1, 8))))
    return WorkerEntry(
        "extra",
        min=least,
        max=max(1, most),
        mode=draw(st.sampled_from(ScaleMode)),
        up_after_s=draw(st.sampled_from([0.0, 5.0, 120.0])),
        down_after_s=draw(st.sampled_from([10.0, 60.0, 300.0])),
        start_cost_s=draw(st.sampled_from([0.0, 5.0])),
    )


steps = st.floats(0.01, 400)


@relaxed
@given(entries(), st.lists(st.tuples(steps, backlogs, boards), min_size=1, max_size=30))
def test_never_above_what_the_board_allows_and_never_below_min(
    rule: WorkerEntry, trace: list[tuple[float, list[KindBacklog], Board]]
) -> None:
    state, now_s = ScaleState(), 0.0
    for pause_s, backlog, seen in trace:
        now_s += pause_s
        board = msgspec.structs.replace(seen, running=state.wanted)
        decision = decide(rule, backlog, board, state, now_s=now_s)
        wanted, state = decision.wanted, decision.state
        assert rule.min <= wanted <= rule.most
        assert "\n" not in decision.why
        if wanted == rule.min:
            continue
        assert wanted + board.fixed - board.held <= board.cores
        rows = [row for row in backlog if row.power in ALLOWED[board.power] and row.jobs]
        assert ALLOWED[board.power]
        urgent = need(rule, rows, board, wanted=wanted).urgent or 1
        assert board.power is not PowerState.LOW or wanted <= urgent
        if rows and board.memory_left_bytes is not None:
            peak = max(rule.guess_bytes if row.peak_bytes is None else row.peak_bytes for row in rows)
            assert (wanted - board.running) * peak <= board.memory_left_bytes - rule.reserve_bytes
        if rows and board.watts_left is not None and wanted > urgent:
            watts = max(board.core_watts if row.watts is None else row.watts for row in rows)
            assert (wanted - board.running) * watts <= max(board.watts_left, 0) + 1e-9


@relaxed
@given(entries(), st.lists(st.tuples(steps, backlogs), min_size=1, max_size=80), st.integers(1, 16))
def test_changes_an_hour_have_a_bound_for_any_backlog(
    rule: WorkerEntry, trace: list[tuple[float, list[KindBacklog]]], cores: int
) -> None:
    state, now_s = ScaleState(), 0.0
    changes: list[float] = []
    for pause_s, rows in trace:
        now_s += pause_s
        decision = decide(rule, rows, Board(cores=cores, running=state.wanted), state, now_s=now_s)
        if decision.wanted != state.wanted:
            changes.append(now_s)
        state = decision.state
    bound = (rule.most - rule.min + 1) * (3600 / rule.down_after_s + 1) + 1  # the first change is up to `min`
    for start in changes:
        assert sum(start <= at < start + 3600 for at in changes) <= bound


@relaxed
@given(entries(), st.lists(st.tuples(steps, backlogs, boards), min_size=1, max_size=80))
def test_changes_an_hour_have_a_bound_even_when_power_and_memory_flap(
    rule: WorkerEntry, trace: list[tuple[float, list[KindBacklog], Board]]
) -> None:
    state, now_s = ScaleState(), 0.0
    changes: list[float] = []
    for pause_s, rows, seen in trace:
        now_s += pause_s
        # A held job with a job of class always may need a worker at any time. Another test holds that promise.
        board = msgspec.structs.replace(seen, running=state.wanted, held=0)
        decision = decide(rule, rows, board, state, now_s=now_s)
        if decision.wanted != state.wanted:
            changes.append(now_s)
        state = decision.state
    bound = (2 * (rule.most - rule.min) + 1) * (3600 / rule.down_after_s + 1) + 1
    for start in changes:
        assert sum(start <= at < start + 3600 for at in changes) <= bound


@relaxed
@given(entries(), st.lists(st.tuples(steps, backlogs), min_size=2, max_size=60))
def test_never_below_the_need_within_the_window(
    rule: WorkerEntry, trace: list[tuple[float, list[KindBacklog]]]
) -> None:
    state, now_s = ScaleState(), 0.0
    asked: list[tuple[float, float, int]] = []  # from, to, count
    for pause_s, rows in trace:
        now_s += pause_s
        if asked:
            asked[-1] = (asked[-1][0], now_s, asked[-1][2])
        decision = decide(rule, rows, Board(cores=16, running=state.wanted), state, now_s=now_s)
        asked.append((now_s, math.inf, decision.state.asked))
        if decision.wanted < state.wanted:
            window = [count for _, end, count in asked if end > now_s - rule.down_after_s]
            assert decision.wanted >= max(window)
        state = decision.state


@relaxed
@given(entries(), backlogs, boards)
def test_settles_by_the_times_it_names(rule: WorkerEntry, rows: list[KindBacklog], board: Board) -> None:
    """Repeated at each time that it names, the decision stops naming a time. So an idle board sets no timer."""
    state, now_s = ScaleState(wanted=rule.min), 0.0
    board = msgspec.structs.replace(board, held=0, failing=0)
    for _ in range(20 + 2 * rule.most):
        decision = decide(rule, rows, msgspec.structs.replace(board, running=state.wanted), state, now_s=now_s)
        state = decision.state
        if decision.look_s is None:
            return
        assert decision.look_s > now_s
        now_s = decision.look_s
    raise AssertionError("it never comes to rest")
