"""No message in hand begins without power, whatever delayed it, and no message is lost."""

from __future__ import annotations

import os

import pytest

from edge.config import Config
from edge.model import PowerState
from edge.worker.attempt.outcome import Outcome
from tests.unit.worker.played_worker import FULL, NORMAL, Board


@pytest.fixture
def board(config: Config) -> Board:
    return Board(config)


@pytest.fixture(params=["look", "body"])
def refused(board: Board, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Board:
    """Return a board on which a full disk stops a job before its body, or ends the body itself."""
    if request.param == "look":
        board.disk.full = True
    else:
        board.bodies.ends["job-1"] = board.bodies.ends["job-2"] = Outcome(error=FULL)
        monkeypatch.setattr("edge.worker.flow.flow.has_free_space", lambda *_: not board.bodies.ends)
    return board


def _well(board: Board) -> None:
    board.disk.recover()
    board.bodies.ends.clear()
    board.bodies.began.clear()


def test_a_job_that_a_full_disk_held_is_begun_once_there_is_room(refused: Board) -> None:
    """The pauses between the tries grow. After a success they begin anew."""
    board = refused
    board.broker.put("job-1")
    board.turn()
    opened = len(board.broker.opened)
    delays = [delay for delay in (board.pass_time() for _ in range(12)) if delay >= 1]
    assert delays[:6] == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0]
    assert len(board.broker.opened) == opened  # a broker on the same full disk would not answer
    ends = dict(board.bodies.ends)
    _well(board)
    _fire(board)
    assert board.bodies.began == ["job-1"]
    assert len(board.broker.opened) > opened
    if ends:
        board.bodies.ends.update(ends)
    else:
        board.disk.full = True
    board.broker.put("job-2")
    board.turn()
    assert board.timers[-1][0] == 1.0


def test_a_job_that_a_full_disk_held_is_not_begun_after_power_fell(refused: Board) -> None:
    """It goes back to its queue, because there is room again but no power for it."""
    board = refused
    board.broker.put("job-1")
    board.turn()
    _well(board)
    board.power.report(PowerState.LOW)
    _fire(board)
    assert (board.bodies.began, board.broker.back) == ([], ["job-1"])
    board.power.report(PowerState.NORMAL)
    board.broker.returned[NORMAL].clear()
    board.broker.put("job-2")
    board.turns()
    assert board.bodies.began == ["job-2"]


def test_a_job_that_a_full_disk_held_longer_than_power_lasted_is_not_begun(refused: Board) -> None:
    """The gate changed long before there was room, so no new report comes that would send the job back."""
    board = refused
    board.broker.put("job-1")
    board.turn()
    board.power.report(PowerState.LOW)
    board.turn()
    _well(board)
    _fire(board)
    assert (board.bodies.began, board.bodies.wrong, board.broker.back) == ([], [], ["job-1"])


def test_queues_are_open_again_at_once_when_there_is_room(board: Board) -> None:
    """Ended jobs are acknowledged first, because a queue with a message in hand stays closed."""
    warm(board)
    board.disk.full = True
    board.broker.put("a")
    board.turn()
    board.disk.recover()
    while board.flow.blocked:
        _, call = board.timers.pop(0)
        call()  # and no turn of the loop after it
    assert (board.broker.acked, board.broker.unacked) == (["a"], {})
    assert NORMAL in board.broker.names


def test_a_held_job_whose_message_was_lost_is_begun_when_it_comes_again(refused: Board) -> None:
    """If it began for the lost message, it would begin twice."""
    board = refused
    board.broker.put("job-1")
    board.turn()
    board.disconnect()
    _well(board)
    _fire(board)
    board.connect()
    board.turns()
    assert board.bodies.began == ["job-1"]
    assert board.broker.acked == ["job-1"]


def _fire(board: Board) -> None:
    """Let timers fire until the blocked one has fired."""
    while board.timers and board.flow.blocked:
        board.pass_time()
    board.turn()


def test_jobs_that_end_at_once_are_acknowledged_together(board: Board) -> None:
    """A queue of short jobs delivers many messages. A group of them costs one commit and one frame."""
    board.know("echo")
    jobs = [f"job-{number}" for number in range(200)]
    for job in jobs:
        board.broker.put(job)
    board.turns()
    assert board.broker.acked == jobs
    assert board.early_acks == []
    assert (NORMAL, 64) in board.broker.opened
    assert board.broker.frames < 40


def warm(board: Board) -> None:
    """Return a board whose queue is known to have short jobs, with no message in hand."""
    board.know("echo")
    for number in range(10):
        board.broker.put(f"warm-{number}")
    board.turns()
    board.timers.clear()
    board.broker.acked.clear()


def lone(board: Board, *jobs: str) -> None:
    """Return a board on which each job arrives after the result of the one before."""
    for job in jobs:
        board.broker.put(job)
        board.turn()
        assert board.durable(job)


def test_jobs_that_come_one_by_one_share_an_acknowledgement(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each single one would cost the broker a sync of its log.

    The eighth is acknowledged together with all before it.
    """
    monkeypatch.setattr("edge.worker.flow.late_acks.WAIT_S", 60.0)  # also on a busy machine
    warm(board)
    frames = board.broker.frames
    lone(board, *"abcdefg")
    assert (board.broker.acked, board.broker.frames) == ([], frames)
    lone(board, "h")
    assert (board.broker.acked, board.broker.frames) == (list("abcdefgh"), frames + 1)


def test_a_late_acknowledgement_waits_half_a_second(board: Board) -> None:
    """After that time no further job seems to come."""
    warm(board)
    lone(board, "a", "b")
    (delay_s, call), *others = board.timers
    assert (delay_s, others) == (0.5, [])
    call()
    assert (board.broker.acked, board.broker.unacked) == (["a", "b"], {})
    assert board.early_acks == []


def test_a_pause_sends_late_acknowledgements(board: Board) -> None:
    """No message is in hand after it."""
    warm(board)
    lone(board, "a", "b")
    board.power.report(PowerState.LOW)
    board.turn()
    assert (board.broker.acked, board.broker.unacked, board.broker.back) == (["a", "b"], {}, [])


def test_a_stop_sends_late_acknowledgements(board: Board) -> None:
    """Otherwise their messages would come again."""
    warm(board)
    lone(board, "a", "b")
    board.intake.release()
    assert (board.broker.acked, board.broker.unacked, board.broker.back) == (["a", "b"], {}, [])


def test_before_a_long_body_late_acknowledgements_go(board: Board) -> None:
    """The body may last for hours."""
    warm(board)
    board.know("slow", seconds=60)
    lone(board, "a")
    seen: list[str] = []
    board.bodies.meanwhile["b"] = lambda: seen.extend(board.broker.acked)
    board.broker.put("b", task="slow")
    board.turn()
    assert seen == ["a"]


def test_a_job_whose_late_acknowledgement_was_lost_is_not_run_again(board: Board) -> None:
    """Its message comes again over the next connection, and the result is found."""
    warm(board)
    lone(board, "a", "b")
    board.disconnect()
    board.connect()
    board.turns()
    assert (board.bodies.began.count("a"), board.bodies.began.count("b")) == (1, 1)
    assert board.broker.acked == ["a", "b"]
    assert board.broker.unacked == {}


def test_a_queue_that_hands_out_one_gets_its_acknowledgement_at_once(board: Board) -> None:
    """The queue delivers no further message before it."""
    board.know("echo", seconds=5)
    lone(board, "a")
    assert board.broker.acked == ["a"]


def test_a_queue_that_another_worker_consumes_hands_out_few(board: Board) -> None:
    """Two workers share the queue."""
    board.know("echo")
    board.broker.others[NORMAL] = 1
    for number in range(50):
        board.broker.put(f"job-{number}")
    board.turns()
    assert {prefetch for _, prefetch in board.broker.opened} == {1, 4}


def test_a_queue_whose_jobs_are_not_known_hands_out_one(board: Board) -> None:
    """No other worker can run a message that is in hand here."""
    seen = []
    board.bodies.meanwhile = {f"job-{n}": lambda: seen.append(len(board.broker.unacked)) for n in range(5)}
    board.know("echo", seconds=5)
    for number in range(5):
        board.broker.put(f"job-{number}")
    board.turns()
    assert seen == [1] * 5


def test_before_a_long_body_all_else_is_settled(board: Board) -> None:
    """Ended jobs are committed and acknowledged. Waiting messages go back, and come again after the body."""
    board.know("echo")
    for number in range(10):
        board.broker.put(f"job-{number}")
    board.turns()
    seen: list[tuple[int, list[str]]] = []
    board.bodies.meanwhile["long"] = lambda: seen.append((len(board.broker.unacked), list(board.broker.acked)))
    for job in ("a", "b"):
        board.broker.put(job)
    board.broker.put("long", task="slow")
    for job in ("c", "d"):
        board.broker.put(job)
    board.turns()
    assert len(seen) == 1
    assert seen[0][0] == 1  # the long one itself
    assert seen[0][1][-2:] == ["a", "b"]
    assert board.broker.acked[-3:] == ["long", "c", "d"]
    assert board.bodies.began.count("c") == 1
    assert not list(board.config.layout.attempts.glob("*")), (
        "a message that went back before its body began was recorded as an attempt"
    )


def test_a_short_kind_that_lasts_gives_waiting_messages_back(board: Board) -> None:
    """The kind is short on average but this job is not. After a moment no message waits for it."""
    board.know("echo")
    for number in range(10):
        board.broker.put(f"job-{number}")
    board.turns()
    seen: list[tuple[int, list[str]]] = []

    def lasts() -> None:
        board.intake.commit_and_give_back()
        seen.append((len(board.broker.unacked), list(board.broker.acked)))

    board.bodies.meanwhile["lasts"] = lasts
    for job in ("a", "lasts", "b"):
        board.broker.put(job)
    board.turns()
    assert seen[0][0] == 1
    assert seen[0][1][-1] == "a"
    assert board.broker.acked[-2:] == ["lasts", "b"]


def test_a_pause_settles_the_window(board: Board) -> None:
    """Queues are closed, jobs committed and acknowledged, messages given back.

    Nothing begins after it, and nothing counts as an attempt.
    """
    board.know("echo")
    for number in range(10):
        board.broker.put(f"job-{number}")
    board.turns()
    board.bodies.meanwhile["c"] = lambda: board.power.report(PowerState.LOW)
    for job in "abcdef":
        board.broker.put(job)
    board.turns()
    assert board.bodies.began[-3:] == ["a", "b", "c"]
    assert board.broker.acked[-3:] == ["a", "b", "c"]
    assert board.broker.ready() == ["d", "e", "f"]
    assert board.broker.unacked == {}
    assert board.broker.settling_frames[-2:] == ["ack", "nack"]
    assert board.status.status.queues == ("edge.always", "edge.dead")
    board.power.report(PowerState.NORMAL)
    board.turns()
    assert board.broker.acked[-3:] == ["d", "e", "f"]
    assert not list(board.config.layout.attempts.glob("*"))


def test_a_long_job_that_went_back_does_not_make_its_queue_slow(board: Board) -> None:
    """Power fell in the body before it. So it goes back before it counts as a long job of its queue."""
    warm(board)
    board.bodies.meanwhile["a"] = lambda: board.power.report(PowerState.LOW)
    board.broker.put("a")
    board.broker.put("long", task="slow")
    board.turns()
    assert board.broker.ready() == ["long"]
    board.broker.opened.clear()
    board.power.report(PowerState.NORMAL)
    board.turn()
    assert board.broker.opened[0] == (NORMAL, 64)


def test_a_copy_in_the_window_does_not_run_again(board: Board) -> None:
    """Its job has ended but is not committed yet. The commit comes first."""
    board.know("echo")
    for number in range(10):
        board.broker.put(f"job-{number}")
    board.turns()
    for job in ("a", "a", "b"):
        board.broker.put(job)
    board.turns()
    assert (board.bodies.began.count("a"), board.bodies.began.count("b")) == (1, 1)
    assert board.broker.acked[-3:] == ["a", "a", "b"]


def test_of_what_was_in_hand_at_a_crash_only_the_first_counts_as_begun(board: Board) -> None:
    """The others probably had not begun, so there is no attempt and no record on the card for them."""
    for job in "abcd":
        board.broker.put(job)
    for message in board.broker.queues[NORMAL]:
        message.deliveries = 1
    board.know("echo")
    board.turns()
    assert board.broker.acked == list("abcd")
    assert [board.record(job).get("attempts", 1) for job in "abcd"] == [2, 1, 1, 1]


def test_redelivered_messages_are_committed_one_by_one(board: Board) -> None:
    """One of them may end this process. Then it must be the first to come again."""
    board.know("echo")
    for number in range(10):
        board.broker.put(f"job-{number}")
    board.turns()
    board.disconnect()
    seen = []
    for job in "abcd":
        board.broker.put(job)
        board.bodies.meanwhile[job] = lambda: seen.append(next(iter(board.broker.unacked.values()))[1].id)
    for message in board.broker.queues[NORMAL]:
        message.deliveries = 1
    board.connect()
    board.turns()
    assert seen == list("abcd")


def test_a_stop_gives_back_what_is_in_hand(board: Board) -> None:
    """They go back at once, not only when the broker notices the lost connection."""
    board.know("echo")
    for number in range(10):
        board.broker.put(f"job-{number}")
    board.turns()
    board.bodies.meanwhile["a"] = board.control.stop
    for job in "abc":
        board.broker.put(job)
    board.turn()
    board.intake.release()
    assert board.broker.acked[-1] == "a"
    assert board.broker.unacked == {}
    assert board.broker.ready() == ["b", "c"]


def test_a_fault_of_the_worker_is_not_the_jobs_failure(board: Board) -> None:
    """The worker tries again. Without the fault the job ends as usual."""
    board.fault = TypeError("a bug")
    board.broker.put("a")
    board.turn()
    assert [parked.id for parked in board.status.status.parked] == ["a"]
    assert board.status.status.faults == 1
    board.fault = None
    board.intake._window.parked[0].not_before = 0.0
    board.pass_time()
    board.turn()
    assert board.record("a")["state"] == "succeeded"


def test_a_fault_of_the_worker_that_stays_ends_as_internal(board: Board, caplog: pytest.LogCaptureFixture) -> None:
    """It is tried three times. Its traceback is logged once, and the jobs after it run."""
    board.fault = TypeError("a bug")
    board.broker.put("a")
    board.turn()
    for _ in range(8):
        if board.intake._window.parked:
            board.intake._window.parked[0].not_before = 0.0
            board.intake.reconsider()
        board.turn()
    record = board.record("a")
    assert (record["state"], record["failure"]["code"]) == ("failed", "internal")
    assert board.status.status.faults == 3
    assert sum(entry.exc_info is not None for entry in caplog.records) == 1
    assert board.broker.acked == ["a"]
    board.fault = None
    board.broker.put("b")
    board.turns()
    assert board.record("b")["state"] == "succeeded"


def test_a_refused_member_is_blocked_and_the_others_go(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    """Members that the disk accepts are acknowledged. The others stay."""
    monkeypatch.setattr("edge.worker.flow.batch.WAIT_S", 60.0)  # one group, also on a busy machine
    board.know("echo")
    for number in range(10):
        board.broker.put(f"job-{number}")
    board.turns()
    board.disk.lost = {"b"}
    for job in "abcd":
        board.broker.put(job)
    board.turns()
    assert board.broker.acked[-3:] == ["a", "c", "d"]
    assert [message.id for _, message in board.broker.unacked.values()] == ["b"]
    board.disk.recover()
    while board.flow.blocked:
        board.pass_time()
    board.turns()
    assert board.broker.acked[-1] == "b"
    assert board.bodies.began.count("b") == 1
    assert board.early_acks == []


def test_nothing_begins_while_the_disk_refuses(board: Board) -> None:
    """The disk would refuse the result of another body too."""
    board.disk.refuse = {"write"}
    for job in "ab":
        board.broker.put(job)
    board.broker.put("c", "edge.always")
    for _ in range(3):
        board.turn()
    assert len(board.bodies.began) == 1
    assert len(board.broker.unacked) == 2


def test_the_reason_stands_as_long_as_the_disk_refuses(board: Board) -> None:
    """This includes the time between two tries of a job that has ended."""
    board.disk.refuse = {"write"}
    board.broker.put("a")
    board.turn()
    board.pass_time()
    assert "cannot write" in board.status.status.reason
    board.disk.recover()
    _fire(board)
    assert board.status.status.reason == ""


def test_a_new_power_report_lets_a_parked_job_try_again(board: Board) -> None:
    """A report of a cooler board counts, although the open queues stay the same."""
    board.broker.put("a", max_temp_c=60.0)
    board.power.report(PowerState.NORMAL, temperature=75.0)
    board.turns()
    assert ([parked.id for parked in board.status.status.parked], board.bodies.began) == (["a"], [])
    board.power.report(PowerState.NORMAL, temperature=50.0)
    board.turns()
    assert (board.status.status.parked, board.bodies.began) == ((), ["a"])


def test_nothing_of_a_queue_overtakes_its_parked_job(board: Board) -> None:
    """It keeps its place in its queue, even if the queue delivers many messages at once. Other queues continue."""
    board.know("echo")
    for number in range(10):
        board.broker.put(f"job-{number}")
    board.turns()
    board.power.report(PowerState.NORMAL, temperature=75.0)
    board.broker.put("hot", max_temp_c=60.0)
    board.broker.put("behind")
    board.broker.put("beside", "edge.always")
    board.turns()
    assert board.bodies.began[10:] == ["beside"]
    board.power.report(PowerState.NORMAL, temperature=50.0)
    board.turns()
    assert board.bodies.began[10:] == ["beside", "hot", "behind"]


def test_what_had_not_begun_when_the_connection_broke_is_no_attempt(board: Board) -> None:
    """The messages were in hand, and the first of them comes again first."""
    board.know("echo")
    for number in range(10):
        board.broker.put(f"job-{number}")
    board.turns()
    for job in "abc":
        board.broker.put(job)
    board.broker.read()
    assert len(board.broker.unacked) == 3
    board.disconnect()
    board.connect()
    board.turns()
    assert board.broker.acked[-3:] == ["a", "b", "c"]
    assert [board.record(job).get("attempts", 1) for job in "abc"] == [1, 1, 1]
    assert not list(board.config.layout.attempts.glob("*"))


@pytest.mark.parametrize("where", ["close", "commit"])
def test_power_that_falls_before_a_long_body_keeps_it_from_beginning(board: Board, where: str) -> None:
    """To settle the window takes time, in which a new report may come."""
    board.know("echo")
    for number in range(10):
        board.broker.put(f"job-{number}")
    board.turns()
    board.broker.put("a")
    board.broker.put("long", task="slow")
    board.broker.put("b")
    if where == "close":
        board.broker.meanwhile = lambda: board.power.report(PowerState.PAUSED)
    else:
        board.disk.meanwhile["commit"] = lambda: board.power.report(PowerState.PAUSED)
    board.turns()
    assert board.bodies.began[-1] == "a"
    assert sorted(board.broker.ready()) == ["b", "long"]
    assert board.bodies.wrong == []


def test_queues_are_closed_before_the_acknowledgement_that_lets_more_in(board: Board) -> None:
    """Power fell during the commit of a group. The next message stays in its queue."""
    board.broker.put("a")
    board.broker.put("b")
    board.disk.meanwhile["commit"] = lambda: board.power.report(PowerState.PAUSED)
    board.turns()
    assert (board.broker.acked, board.broker.ready(), board.broker.back) == (["a"], ["b"], [])


def test_reports_that_come_while_queues_are_closed_are_applied(board: Board) -> None:
    """The last report of the governor decides, even if reports follow each other fast or come during a body."""
    board.power.report(PowerState.SURPLUS)
    board.turn()
    seen = []

    def lasts() -> None:
        board.power.report(PowerState.LOW)
        board.broker.meanwhile = lambda: board.power.report(PowerState.PAUSED)
        board.intake.commit_and_give_back()
        seen.append((board.broker.names, board.status.status.queues))

    board.bodies.meanwhile["a"] = lasts
    board.broker.put("a")
    board.turn()
    assert seen == [((), ())]


def test_what_went_back_at_a_pause_is_no_attempt_when_it_comes_first(board: Board) -> None:
    """This holds over another connection too, where the first message of a queue counts as begun."""
    board.know("echo")
    for number in range(10):
        board.broker.put(f"job-{number}")
    board.turns()
    board.bodies.meanwhile["a"] = lambda: board.power.report(PowerState.LOW)
    for job in "abc":
        board.broker.put(job)
    board.turns()
    board.disconnect()
    board.connect()
    board.power.report(PowerState.NORMAL)
    board.turns()
    assert [board.record(job).get("attempts", 1) for job in "abc"] == [1, 1, 1]


def _ended(board: Board, job: str) -> None:
    """Return a board with a job that has ended and whose result waits for others."""
    board.broker.put(job)
    board.broker.read()
    board.flow.advance(board.intake._window._waiting.popleft(), board.power.status)
    assert (job in board.flow.batch, board.durable(job)) == (True, False)


def test_what_has_ended_when_the_worker_leaves_is_acknowledged(board: Board) -> None:
    """If it went back, another worker would have to find out that the job has ended."""
    _ended(board, "a")
    board.intake.release()
    assert (board.broker.acked, board.broker.back) == (["a"], [])


def test_what_has_ended_when_the_connection_breaks_is_made_durable(board: Board) -> None:
    """The broker may be away for days. After a power cut the body would have to run again."""
    _ended(board, "a")
    board.disconnect()
    assert board.durable("a")


def test_a_body_that_closes_what_it_finds_costs_no_result(board: Board) -> None:
    """Neither its own result nor those that wait in the group are lost.

    A closed descriptor's number may be used by another file by then.
    """
    board.know("echo")
    for number in range(10):
        board.broker.put(f"job-{number}")
    board.turns()
    closed: list[int] = []

    def closes() -> None:
        group = board.results._group
        assert group is not None
        closed.append(group._fd)
        os.close(group._fd)

    board.bodies.meanwhile["b"] = closes
    for job in "abc":
        board.broker.put(job)
    board.turns()
    assert len(closed) == 1
    assert board.broker.acked[-3:] == ["a", "b", "c"]
    assert [board.record(job)["state"] for job in "abc"] == ["succeeded"] * 3
    assert board.early_acks == []
