"""The number of workers that a board runs."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.config.scaling import ScaleMode
from edge.config.workers import WorkerEntry
from edge.model import Power, PowerState, WorkerPool
from edge.power.scaling.backlog import KindBacklog
from edge.power.scaling.board import Board
from edge.power.scaling.decide import Decision, Hand, decide
from edge.power.scaling.state import Peak, ScaleState, remember
from tests.scale.rules import Ours, Published

EXTRA = WorkerEntry("extra", max="auto", drain_target_s=60.0, down_after_s=300.0)
FOUR = Board(cores=4)


def rows(
    queued: int, seconds: float | None = 30.0, *, running: int = 0, power: Power = Power.NORMAL
) -> list[KindBacklog]:
    return [KindBacklog(kind="sum", queued=queued, running=running, seconds=seconds, power=power)]


def first(backlog: list[KindBacklog], board: Board = FOUR, rule: WorkerEntry = EXTRA) -> Decision:
    return decide(rule, backlog, board, ScaleState(), now_s=1000.0)


def test_an_idle_board_runs_no_extra_worker_and_looks_at_nothing() -> None:
    decision = first([])
    assert (decision.wanted, decision.look_s) == (0, None)
    assert decision.why == "0 of 3: no job waits"


def test_more_start_at_once_for_work_that_one_would_not_end_in_time() -> None:
    decision = first(rows(6))
    assert decision.wanted == 2  # 180 s of work in 60 s need three workers, and one is there
    assert decision.why == "2 of 3: 6 jobs of 3 min of work, to be done in 60 s"


def test_running_jobs_count_as_work() -> None:
    assert first(rows(5, running=1)).wanted == first(rows(6)).wanted


def test_a_kind_that_is_not_learned_counts_with_the_guess() -> None:
    assert first(rows(18, None)).wanted == first(rows(18, EXTRA.guess_s)).wanted == 2


def test_no_more_workers_than_jobs() -> None:
    assert first(rows(1, 3600.0, running=1)).wanted == 1


def test_none_starts_for_work_that_ends_before_it_is_ready() -> None:
    """No worker starts for small jobs, because the workers that run finish them before a new one is ready."""
    assert first(rows(100, 0.05)).wanted == 0
    eager = msgspec.structs.replace(EXTRA, drain_target_s=1.0, start_cost_s=5.0)
    assert first(rows(80, 0.05), rule=eager).wanted == 0
    assert "before another has started" in first(rows(80, 0.05), rule=eager).why


def test_threads_share_the_work_of_a_process() -> None:
    io = WorkerEntry("io", WorkerPool.THREADS, concurrency=64, max=1)
    assert first(rows(1000), msgspec.structs.replace(FOUR, fixed=0), io).wanted == 1


@pytest.mark.parametrize(
    ("board", "wanted", "why"),
    [
        (Board(cores=1), 0, "0 of 0: 1 core is in use"),
        (
            Board(cores=4, memory_left_bytes=364 << 20),
            2,
            "2 of 3: a third would need 134.2 MB of memory, 314.6 MB are left",
        ),
        (Board(cores=4, memory_left_bytes=0), 0, "0 of 3: one would need 134.2 MB of memory, 0 bytes are left"),
        (Board(cores=4, watts_left=2.1), 2, "2 of 3: a third would draw 1.0 W, 2.1 W are left"),
        (Board(cores=4, failing=1), 0, "0 of 3: 1 of them crash again and again"),
        (Board(cores=4, power=PowerState.CRITICAL), 0, "0 of 3: power is critical: no job that waits may run"),
    ],
)
def test_the_lowest_limit_is_reported(board: Board, wanted: int, why: str) -> None:
    decision = first(rows(100), board)
    assert (decision.wanted, decision.why) == (wanted, why)


def test_low_power_retires_extra_workers_at_once() -> None:
    running = first(rows(100)).state
    low = msgspec.structs.replace(FOUR, power=PowerState.LOW, running=3)
    decision = decide(EXTRA, rows(100), low, running, now_s=1001.0)
    assert (running.wanted, decision.wanted, decision.why) == (3, 0, "0 of 3: power is low")


def test_after_the_board_took_workers_away_none_is_added_for_a_while() -> None:
    low = msgspec.structs.replace(FOUR, power=PowerState.LOW, running=3)
    state = decide(EXTRA, rows(100), low, first(rows(100)).state, now_s=1001.0).state
    decision = decide(EXTRA, rows(100), FOUR, state, now_s=1002.0)
    assert (decision.wanted, decision.look_s) == (0, 1301.0)
    assert decide(EXTRA, rows(100), FOUR, decision.state, now_s=1301.0).wanted == 3


def test_class_always_never_waits_behind_a_held_job() -> None:
    """If the job of one worker is held because power is low, another worker starts for class always."""
    low = Board(cores=2, held=1, power=PowerState.LOW, watts_left=0.0)
    backlog = [*rows(5), *rows(1, 1.0, power=Power.ALWAYS)]
    decision = first(backlog, low)
    assert decision.wanted == 1
    kept = decide(EXTRA, rows(5), msgspec.structs.replace(low, running=1), decision.state, now_s=1100.0)
    gone = decide(EXTRA, rows(5), msgspec.structs.replace(low, running=1), kept.state, now_s=1301.0)
    assert (kept.wanted, gone.wanted) == (1, 0)


def test_class_always_starts_no_further_worker_beside_a_free_one() -> None:
    low = Board(cores=4, fixed=2, held=1, power=PowerState.LOW)
    assert first(rows(3, 1.0, power=Power.ALWAYS), low).wanted == 0


def test_fewer_are_kept_only_after_the_window() -> None:
    state = first(rows(100)).state
    early = decide(EXTRA, [], FOUR, state, now_s=1299.0)
    assert (early.wanted, early.look_s) == (3, 1599.0)  # three were needed until now
    assert decide(EXTRA, [], FOUR, early.state, now_s=1598.0).wanted == 3
    late = decide(EXTRA, [], FOUR, early.state, now_s=1599.0)
    assert (late.wanted, late.look_s) == (0, None)


def test_the_highest_count_of_the_window_is_kept() -> None:
    state = first(rows(100)).state
    for now_s, queued in ((1010.0, 0), (1200.0, 4), (1220.0, 0)):
        state = decide(EXTRA, rows(queued), FOUR, state, now_s=now_s).state
    assert decide(EXTRA, [], FOUR, state, now_s=1311.0).wanted == 1


def test_a_wait_before_more_start_is_kept_and_reported() -> None:
    slow = msgspec.structs.replace(EXTRA, up_after_s=20.0)
    decision = first(rows(100), rule=slow)
    assert (decision.wanted, decision.look_s) == (0, 1020.0)
    assert decision.why == "0 of 3: 3 are needed, and may start in 20 s"
    assert decide(slow, rows(100), FOUR, decision.state, now_s=1020.0).wanted == 3


def test_a_count_set_by_a_person_holds_within_the_limits_for_its_time() -> None:
    hand = Hand(2, until_s=1600.0)
    decision = decide(EXTRA, [], FOUR, ScaleState(), now_s=1000.0, hand=hand)
    assert (decision.wanted, decision.look_s, decision.why) == (2, 1600.0, "2 of 3: set by hand, for another 10 min")
    ended = decide(EXTRA, [], FOUR, decision.state, now_s=1600.0, hand=hand)
    assert ended.wanted == 0
    assert decide(EXTRA, [], Board(cores=2), ScaleState(), now_s=1000.0, hand=hand).wanted == 1


class TestThresholds:
    rule = WorkerEntry("extra", max=8, down_after_s=300.0, mode=ScaleMode.TASKS, up_at=10, down_at=2, rate_per_min=10.0)
    board = Board(cores=16, fixed=0)

    def test_between_the_thresholds_nothing_changes(self) -> None:
        state = first(rows(25), self.board, self.rule).state
        assert state.wanted == 3
        assert decide(self.rule, rows(5), self.board, state, now_s=9000.0).wanted == 3

    def test_below_the_lower_one_fewer_are_kept_after_the_window(self) -> None:
        state = first(rows(25), self.board, self.rule).state
        state = decide(self.rule, rows(0), self.board, state, now_s=1060.0).state
        assert state.wanted == 3
        assert decide(self.rule, rows(0), self.board, state, now_s=1360.0).wanted == 0

    def test_the_defect_of_the_published_package_is_not_here(self) -> None:
        """25 jobs wait for three minutes while workers start, then they all run. Three workers are enough."""
        ours = Ours(self.rule)
        theirs = Published(up_at=10, down_at=2, rate_per_min=10.0, least=0, most=8)
        counts = []
        for minute, backlog in enumerate([rows(25), rows(25), rows(25), rows(0, running=25)]):
            each = (
                ours.total(backlog, self.board, now_s=60.0 * minute),
                theirs.total(backlog, self.board, now_s=60.0 * minute),
            )
            counts.append(each)
        assert [our for our, _ in counts] == [3, 3, 3, 3]
        # The package adds the whole need again at each step, and then ignores the 25 jobs that run.
        assert [their for _, their in counts] == [0, 3, 6, 0]


@given(until_s=st.floats(0, 1e7), window_s=st.floats(10, 86_400))
def test_a_peak_has_left_the_window_at_the_time_that_the_decision_names(until_s: float, window_s: float) -> None:
    """If the sum were rounded to the other side, the decision would be repeated endlessly at the same time."""
    state = ScaleState(wanted=1, peaks=(Peak(until_s, 1),))
    assert remember(state, 0, now_s=until_s + window_s, window_s=window_s) == ()
