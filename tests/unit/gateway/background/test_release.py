"""The broker gets the right jobs: by priority, a few at a time, within limits, and each job once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.broker.routes import Routes
from edge.config import Config, GatewayConfig, LimitConfig
from edge.gateway.background.release import Release
from edge.ledger.rows import JobRow, NewJob
from edge.ledger.writer import LedgerWriter
from edge.model import JobState, Power, Result, new_job_id
from edge.schedule.later import Later

WINDOW = 8
SET = 1_800_000_000.0  # a time that only a clock that was set shows


class Board:
    """A ledger, the release, and a simulated broker. A test decides when its workers end jobs."""

    def __init__(self, path: Path, **settings: Any) -> None:
        self.now, self.wall = 1000.0, 1.0  # the monotonic clock, and the wall clock, which is not set
        self.ledger = LedgerWriter.open(path / "l")
        gateway = GatewayConfig(release_window=WINDOW, overtaken_s=settings.pop("overtaken_s", 3600.0))
        self.config = Config(gateway=gateway, **settings)
        self.running: dict[str, float] = {}
        self.release = self.fresh()
        self.out: list[JobRow] = []  # jobs that the broker has, oldest first
        self.published: list[str] = []  # ids of all jobs that the broker ever got

    def fresh(self) -> Release:
        routes = Routes(io=frozenset({"fetch"}))
        return Release(
            self.config,
            routes=lambda: routes,
            begun=lambda: self.running,
            clock=lambda: self.now,
            wall=lambda: self.wall,
        )

    def accept(
        self,
        count: int = 1,
        *,
        priority: int = 5,
        task: str = "solve",
        power: Power = Power.NORMAL,
        after: tuple[str, ...] = (),
    ) -> list[str]:
        """Accept jobs, and return their ids."""
        later = Later(priority=priority, after=after) if priority != 5 or after else None
        with self.ledger.transaction(durable=False):
            jobs = [
                self.ledger.add(
                    NewJob(new_job_id(), task, [], {}, power, 0, None, "me", b"", later=later), now=self.wall
                ).job
                for _ in range(count)
            ]
        self.release.came([job for job in jobs if not job.waits])
        return [job.id for job in jobs]

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds
        self.wall += seconds

    def restart(self) -> None:
        """Do what a new gateway does; after a boot the monotonic clock begins at 0."""
        self.now = 0.0
        self.release = self.fresh()
        self.release.load(self.ledger.reader)

    def overtaken_s(self, job_id: str, *, within_s: float) -> float | None:
        """Let jobs of priority 9 overtake `job_id`. Return after how many seconds it goes out, or None if later."""
        passed = 0.0
        while passed < within_s:
            self.accept(1, priority=9)
            self.end(1)
            if job_id in self.publish():
                return passed
            self.wait(5.0)
            passed += 5.0
        return None

    def publish(self, limit: int = 256, *, anew: bool = False, noted: bool = True) -> list[str]:
        """Do what the publisher does when it is woken. The broker confirms at once. Return the ids of the jobs."""
        ids = list[str]()
        more = True
        while more:
            jobs = self.release.next(self.ledger.reader, limit, anew=anew)
            anew, more = False, len(jobs) == limit
            self.release.confirmed(jobs)
            if noted:
                self.note(jobs)
            self.out += jobs
            ids += [job.id for job in jobs]
        self.published += ids
        return ids

    def note(self, jobs: list[JobRow]) -> None:
        """Record in the ledger that the broker has these jobs."""
        with self.ledger.transaction(durable=False):
            self.ledger.mark_queued([job.message_key for job in jobs])

    def end(self, count: int = 1, *, seconds: float = 0.0) -> bool:
        """End the oldest jobs of the broker. Return True if others may be published in their place."""
        over, self.out = self.out[:count], self.out[count:]
        results = [
            Result(job.id, job.task, JobState.SUCCEEDED, started_at=1.0, finished_at=self.wall, seconds=seconds)
            for job in over
        ]
        with self.ledger.transaction(durable=False):
            free = self.ledger.finish_all([(result, 1) for result in results], now=self.wall).free
        self.release.came(free)
        return self.release.ended(results)


@pytest.fixture
def board(tmp_path: Path) -> Iterator[Board]:
    board = Board(tmp_path)
    yield board
    board.ledger.close()


def test_the_broker_gets_a_window_and_the_next_group_when_half_of_it_has_ended(board: Board) -> None:
    """Jobs go out in the order of acceptance: a full window, and the next group when half of it has ended."""
    ids = board.accept(30)
    assert board.publish() == ids[:WINDOW]
    assert board.end(3)
    board.now += 10
    assert board.publish() == []
    board.end(1)
    board.now += 10
    assert board.publish() == ids[WINDOW : WINDOW + 4]


def test_results_are_urgent_once_half_of_the_window_has_ended(board: Board) -> None:
    """Results are urgent if other jobs wait for a place and half of the window has ended. Otherwise they may wait."""
    ids = board.accept(WINDOW)
    board.publish()
    assert not board.release.gets_more_after(set(ids))
    board.accept(1)
    board.publish()
    assert not board.release.gets_more_after(set(ids[:3]))
    assert board.release.gets_more_after(set(ids[:4]))
    assert not board.release.gets_more_after({"nobody", *ids[:3]})


def test_quick_jobs_get_a_wider_window(board: Board) -> None:
    """The window grows to twice the number of jobs that ended in the last two seconds."""
    board.accept(200)
    assert len(board.publish()) == WINDOW
    board.end(WINDOW)
    assert len(board.publish()) == 2 * WINDOW
    board.end(2 * WINDOW)
    assert len(board.publish()) == 6 * WINDOW


def test_a_high_priority_waits_for_the_window_alone(board: Board) -> None:
    """A job of high priority goes out as soon as one job has ended, although a thousand others wait."""
    board.accept(1000)
    board.publish()
    (urgent,) = board.accept(priority=9)
    assert board.publish() == []
    board.end(1)
    assert board.publish() == [urgent]


def test_higher_ones_first_then_the_usual_then_the_lower_ones(board: Board) -> None:
    """Jobs go out by priority, and jobs of the same priority in the order of acceptance."""
    low, usual, high, highest = (board.accept(3, priority=each) for each in (2, 5, 7, 9))
    got = board.publish(noted=False)
    assert got == [*highest, *high, *usual[:2]]
    board.note(board.out)
    board.end(WINDOW)
    board.now += 10
    assert board.publish() == [usual[2], *low]


def test_all_priorities_go_out_at_the_start_if_there_is_room(board: Board) -> None:
    """After a start jobs of low priority need no further event: those before them are out already."""
    low, usual, high = (board.accept(1, priority=each) for each in (2, 5, 9))
    board.release = board.fresh()
    assert board.publish(anew=True, noted=False) == [*high, *usual, *low]


def test_another_class_is_not_held_up_by_a_full_one(board: Board) -> None:
    """A large backlog of class surplus does not delay jobs of other classes."""
    board.accept(500, power=Power.SURPLUS)
    assert len(board.publish()) == WINDOW
    ids = board.accept(2)
    assert board.publish() == ids
    assert len(board.accept(300, task="fetch")) == len(board.publish())  # threads take many


@pytest.mark.parametrize("priority", [0, 4, 5])
def test_what_was_overtaken_for_too_long_goes_next(tmp_path: Path, priority: int) -> None:
    """A job that was overtaken for too long goes out next, although jobs of higher priority keep coming."""
    board = Board(tmp_path, overtaken_s=100.0)
    board.accept(WINDOW, priority=9)
    board.publish()
    (old,) = board.accept(priority=priority)
    for _ in range(11):
        board.now += 10.0
        board.accept(1, priority=9)
        board.end(1)
        if old in board.publish():
            break
    assert old in board.published
    assert board.now >= 1100.0


@pytest.mark.parametrize("priority", [0, 5])
def test_the_wait_of_an_overtaken_job_goes_on_over_restarts(tmp_path: Path, priority: int) -> None:
    """It counts from the acceptance, by the wall clock, however often the gateway starts."""
    board = Board(tmp_path, overtaken_s=100.0)
    board.wall = SET
    board.accept(WINDOW, priority=9)
    board.publish()
    (old,) = board.accept(priority=priority)
    for _ in range(3):
        assert board.overtaken_s(old, within_s=25.0) is None
        board.restart()
    assert board.overtaken_s(old, within_s=50.0) == pytest.approx(25.0, abs=5.0)


@pytest.mark.parametrize("wall", [1.0, SET - 1000.0])
def test_a_clock_that_was_not_set_lets_no_job_go_early(tmp_path: Path, wall: float) -> None:
    """With a clock that is not set, or that went back, an overtaken job starts to wait anew."""
    board = Board(tmp_path, overtaken_s=100.0)
    board.wall = SET
    board.accept(WINDOW, priority=9)
    board.publish()
    (old,) = board.accept(priority=0)
    assert board.overtaken_s(old, within_s=80.0) is None
    board.wall = wall
    board.restart()
    assert board.overtaken_s(old, within_s=150.0) == pytest.approx(100.0, abs=5.0)


@pytest.mark.parametrize("restarts", [False, True])
def test_a_job_that_waited_for_others_is_overtaken_from_its_release_on(tmp_path: Path, restarts: bool) -> None:
    """While it waited for others, nobody could overtake it; a restart does not change that."""
    board = Board(tmp_path, overtaken_s=100.0)
    board.wall = SET
    (parent,) = board.accept(1, priority=9)
    (child,) = board.accept(priority=0, after=(parent,))
    board.accept(WINDOW, priority=9)
    board.publish()
    for _ in range(6):  # time passes, and jobs are accepted in it
        board.wait(50.0)
        board.accept(1, priority=9)
    board.end(1)
    assert board.ledger.reader.get(parent).state.final
    if restarts:
        board.restart()
    assert board.overtaken_s(child, within_s=150.0) == pytest.approx(100.0, abs=5.0)


def test_a_changed_priority_counts_where_the_broker_does_not_have_the_job(board: Board) -> None:
    """A higher or lower priority applies to jobs that the broker does not have yet."""
    ids = board.accept(20)
    board.publish()
    for job_id, priority in ((ids[19], 9), (ids[8], 0)):
        with board.ledger.transaction(durable=False):
            job = board.ledger.reprioritise(job_id, priority)
        board.release.reranked(job)
    board.end(WINDOW)
    board.now += 10
    assert board.publish(limit=8) == [ids[19], *ids[9:16]]
    board.end(WINDOW)
    board.now += 10
    assert board.publish() == [*ids[16:19], ids[8]]


def test_a_kind_with_a_limit_goes_out_one_by_one(tmp_path: Path) -> None:
    """Of a limited kind the next job goes out when one has ended. Other kinds overtake it, and the reason is shown."""
    board = Board(tmp_path, limits={"chat": LimitConfig(at_once=1)})
    chats, others = board.accept(3, task="chat"), board.accept(2)
    assert board.publish() == [chats[0], *others]
    assert board.release.why(board.ledger.reader.get(chats[1])) == (
        "waits for the limit of chat, 1 at once: the next one starts when one ends"
    )
    assert board.end(1)
    assert board.publish() == [chats[1]]


def test_a_kind_with_a_rate_starts_a_limited_number_in_a_minute(tmp_path: Path) -> None:
    """The minute of a rate begins with the start of a body, and `again_s` tells when to look again."""
    board = Board(tmp_path, limits={"chat": LimitConfig(per_minute=2)})
    chats = board.accept(5, task="chat")
    assert board.publish() == chats[:2]
    board.now += 20.0
    board.end(2, seconds=10.0)
    assert board.publish() == []
    assert board.release.again_s == pytest.approx(50.0)
    assert "2 a minute: the next one may start in 50 s" in board.release.why(board.ledger.reader.get(chats[2]))
    board.now += 50.0
    assert board.publish() == chats[2:4]
    board.running = dict.fromkeys(chats[2:4], 30.0)
    assert board.publish() == []
    assert board.release.again_s == pytest.approx(60.0)  # no event reports that a body has run for a minute
    board.running = dict.fromkeys(chats[2:4], 61.0)
    assert board.publish() == chats[4:]


def test_a_rate_is_kept_over_a_restart(tmp_path: Path) -> None:
    """The jobs that ended within the last minute count, from their end on; other kinds do not."""
    board = Board(tmp_path, limits={"chat": LimitConfig(per_minute=2)})
    board.wall = SET
    chats = board.accept(5, task="chat")
    board.accept(3)
    assert board.publish()[:2] == chats[:2]
    board.end(5, seconds=1.0)
    board.wait(20.0)
    board.restart()
    assert board.publish(anew=True) == []
    assert board.release.again_s == pytest.approx(40.0)
    board.wait(41.0)
    assert board.publish() == chats[2:4]


def test_a_new_gateway_knows_what_the_old_one_handed_out(board: Board) -> None:
    """After a restart of the gateway, the window includes the jobs that the broker already has."""
    board.accept(30)
    board.publish()
    board.release = board.fresh()
    board.release.load(board.ledger.reader)
    assert board.publish(anew=True) == []
    board.end(WINDOW)
    board.now += 10
    assert len(board.publish()) == WINDOW


OPS = st.lists(
    st.one_of(
        st.tuples(st.just("accept"), st.integers(1, 12), st.sampled_from([0, 3, 5, 5, 5, 9]), st.sampled_from("abc")),
        st.tuples(st.just("end"), st.integers(1, 9)),
        st.tuples(st.just("publish"), st.sampled_from([1, 3, 256]), st.booleans(), st.booleans()),
        st.tuples(st.just("time"), st.floats(0, 90)),
        st.tuples(st.just("lost")),
    ),
    max_size=40,
)


@given(ops=OPS)
@settings(max_examples=150, deadline=None)
def test_every_job_goes_out_once_within_limits_whatever_happens(
    tmp_path_factory: pytest.TempPathFactory, ops: list[Any]
) -> None:
    """Every job goes out exactly once and never beyond its limit, and after the end of all others none is left."""
    board = Board(tmp_path_factory.mktemp("b"), limits={"b": LimitConfig(at_once=2), "c": LimitConfig(per_minute=3)})

    def check() -> None:
        assert sum(job.task == "b" for job in board.out) <= 2
        assert sum(job.task == "c" for job in board.out) <= 3

    accepted = list[str]()
    act: dict[str, Callable[..., object]] = {
        "accept": lambda count, priority, task: accepted.extend(board.accept(count, priority=priority, task=task)),
        "end": board.end,
        "publish": lambda limit, anew, noted: board.publish(limit, anew=anew, noted=noted),
        "time": lambda seconds: setattr(board, "now", board.now + seconds),
        "lost": lambda: None,
    }
    for name, *values in ops:
        if name == "lost":  # the broker's store is new: everything is published again
            with board.ledger.transaction(durable=False):
                board.ledger.requeue_all()
            board.release.lost_all()
            board.published = [job_id for job_id in board.published if board.ledger.reader.get(job_id).state.final]
            board.out = []
            board.publish(anew=True)
        act[name](*values)
        check()
    for _ in range(2000):
        board.note(board.out)
        board.end(len(board.out))
        board.now += 100.0
        if not board.publish():
            break
        check()
    board.ledger.close()
    assert sorted(board.published) == sorted(accepted)
