"""An attempt goes on from its stage, whatever call the disk refused: nothing is let go, nothing runs too often."""

from __future__ import annotations

import errno
import json
import time
from typing import Any, cast

import msgspec
import pytest

from edge.config import CommandConfig, Config
from edge.core.errors import Unreachable
from edge.model import PowerState
from edge.worker.attempt.attempt import Attempt, Stage
from edge.worker.attempt.delivery import Delivery
from edge.worker.attempt.outcome import Outcome
from tests.unit.worker import played_worker
from tests.unit.worker.attempt.test_program_locks import held_elsewhere
from tests.unit.worker.played_worker import NORMAL, Board, failed

#: Each call that an attempt makes on the disk, with the stage in which it is refused.
CALLS = {
    "has": Stage.ADMITTING,
    "read-attempts": Stage.ADMITTING,
    "stage": Stage.ADMITTING,
    "write": Stage.COMMITTING,
    "commit": Stage.COMMITTING,
}


@pytest.fixture
def board(config: Config) -> Board:
    return Board(config)


def _attempt(*, redeliveries: int = 0, retries: int = 0) -> Attempt:
    return Attempt(
        Delivery(
            message=cast("Any", None), queue=NORMAL, id="a", task="echo", redeliveries=redeliveries, retries=retries
        )
    )


@pytest.mark.parametrize("files", [False, True])
@pytest.mark.parametrize("call", CALLS)
def test_a_refused_call_is_made_again_from_its_stage(board: Board, call: str, files: bool) -> None:
    """One result in the end; the body runs again only where the disk may have lost its files."""
    if files:
        board.bodies.files["a"] = "kept"
    attempt = _attempt()
    board.disk.refuse = {call}
    board.flow.advance(attempt, board.power.status)
    assert board.flow.commit() == []
    assert (attempt.stage, list(board.flow.blocked)) == (CALLS[call], [attempt])
    assert not board.durable("a")
    board.disk.well()
    for blocked in board.flow.blocked.take():
        if board.flow.resume(blocked, board.power.status):
            board.flow.advance(blocked, board.power.status)
    done = board.flow.commit()
    assert [delivery.id for delivery in done] == ["a"]
    assert attempt.stage is Stage.DONE
    record = board.record("a")
    assert record["state"] == "succeeded"
    assert [file["name"] for file in record.get("files", [])] == (["a.txt"] if files else [])
    began_twice = files and CALLS[call] is Stage.COMMITTING
    assert board.bodies.began == ["a"] * (1 + began_twice)


@pytest.mark.parametrize("call", ["has", "announce"])
def test_a_result_that_was_there_is_announced_before_its_message_goes(board: Board, call: str) -> None:
    """Its first announcement may have been cut short."""
    board.flow.advance(_attempt(), board.power.status)
    board.flow.commit()
    copy = _attempt(redeliveries=1)
    board.disk.refuse = {call}
    board.flow.advance(copy, board.power.status)
    assert list(board.flow.blocked) == [copy]
    board.disk.well()
    (blocked,) = board.flow.blocked.take()
    assert board.flow.resume(blocked, board.power.status)
    board.flow.advance(blocked, board.power.status)
    assert [delivery.id for delivery in board.flow.commit()] == ["a"]
    assert board.bodies.began == ["a"]


def test_a_redelivery_that_cannot_be_recorded_does_not_begin(board: Board) -> None:
    """Its start is durable before its body runs; it counts once, however often the disk refused the record."""
    attempt = _attempt(redeliveries=1)
    board.disk.refuse = {"write-attempts"}
    for _ in range(3):
        board.flow.advance(attempt, board.power.status)
        assert board.flow.blocked.take() == [attempt]
    assert board.bodies.began == []
    board.disk.well()
    board.flow.advance(attempt, board.power.status)
    board.flow.commit()
    assert board.record("a")["attempts"] == 2


def test_a_failure_that_cannot_be_recorded_is_not_let_go(board: Board) -> None:
    """The gateway publishes the job again only for a durable record; the body does not run again for the disk."""
    board.bodies.ends["a"] = failed()
    attempt = _attempt(retries=1)
    board.disk.refuse = {"write-attempts"}
    board.flow.advance(attempt, board.power.status)
    assert (attempt.stage, board.flow.commit()) == (Stage.RETRYING, [])
    board.disk.well()
    (blocked,) = board.flow.blocked.take()
    assert not board.flow.resume(blocked, board.power.status)
    assert [delivery.id for delivery in board.flow.commit()] == ["a"]
    assert board.bodies.began == ["a"]
    assert board.durable("a")


def test_the_record_of_a_failure_outlives_an_old_copy(board: Board) -> None:
    """A stale message is acknowledged; what is known of the job stays for its retry."""
    board.bodies.ends["a"] = failed()
    board.flow.advance(_attempt(retries=1), board.power.status)
    board.flow.commit()
    board.flow.advance(_attempt(retries=1), board.power.status)
    assert [delivery.id for delivery in board.flow.commit()] == ["a"]
    assert board.bodies.began == ["a"]
    assert board.durable("a")


def test_an_interrupted_attempt_is_not_acknowledged(board: Board) -> None:
    """Its worker leaves, and its message comes again."""
    board.bodies.ends["a"] = Outcome(interrupted=True)
    attempt = _attempt()
    board.flow.advance(attempt, board.power.status)
    assert (board.flow.commit(), board.stops) == ([], 1)
    assert not board.durable("a")


def test_a_full_disk_is_blamed_once(board: Board) -> None:
    """Where there is room all the same, the job may have filled the disk itself: that is its failure."""
    board.bodies.ends["a"] = Outcome(
        error=OSError(28, "No space left on device"), failure=failed("No space left on device").failure
    )
    attempt = _attempt()
    board.flow.advance(attempt, board.power.status)
    (blocked,) = board.flow.blocked.take()
    assert board.flow.resume(blocked, board.power.status)
    board.flow.advance(blocked, board.power.status)
    board.flow.commit()
    assert board.record("a")["state"] == "failed"
    assert board.bodies.began == ["a", "a"]


def test_what_a_head_did_not_take_is_handed_in_again_with_its_files(
    board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the body made is well: it does not run again because a network is down."""
    board.bodies.files["a"] = "kept"
    attempt = _attempt()
    board.flow.advance(attempt, board.power.status)
    with monkeypatch.context() as patch:
        patch.setattr(board.results, "commit", lambda members: [Unreachable("no route") for _ in members])
        assert board.flow.commit() == []
    (blocked,) = board.flow.blocked.take()
    assert not board.flow.resume(blocked, board.power.status)
    board.flow.commit()
    assert [file["name"] for file in board.record("a")["files"]] == ["a.txt"]
    assert board.bodies.began == ["a"]


def test_a_library_that_a_body_broke_counts_as_its_crash(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker ends of it, and the mark of the job stays behind."""
    board.flow.advance(_attempt(), board.power.status)
    monkeypatch.setattr("os.fsync", None)
    with pytest.raises(TypeError):
        board.flow.commit()
    assert b'"id":"a"' in (board.config.layout.running / "main.json").read_bytes()


def test_power_parks_nothing_that_is_over(board: Board) -> None:
    """A job that was cancelled while it waited for a cooler board goes."""
    board.flow.advance(_attempt(), board.power.status)
    board.flow.commit()
    hot = Attempt(Delivery(message=cast("Any", None), queue=NORMAL, id="a", task="echo", max_temp_c=30))
    board.power.tell(PowerState.NORMAL)
    board.flow.advance(hot, board.power.status)
    assert hot.stage is Stage.DONE


def test_a_body_is_marked_from_its_begin_to_its_end(board: Board) -> None:
    """Whatever ends the process meanwhile, the next worker knows whose body it was."""
    mark = board.config.layout.running / "main.json"
    seen: list[bytes] = []
    board.bodies.meanwhile["a"] = lambda: seen.append(mark.read_bytes())
    board.flow.advance(_attempt(), board.power.status)
    assert [b'"id":"a"' in content for content in seen] == [True]
    assert mark.read_bytes() == b""


def test_files_over_the_limit_are_dropped_and_the_job_says_so(config: Config) -> None:
    """One job must not fill the card of all."""
    worker = msgspec.structs.replace(config.worker, max_artifact_bytes=3)
    board = Board(msgspec.structs.replace(config, worker=worker))
    board.bodies.files["a"] = "four"
    attempt = _attempt()
    board.flow.advance(attempt, board.power.status)
    board.flow.commit()
    record = board.record("a")
    assert (record["state"], record["failure"]["code"]) == ("failed", "too-large")
    assert "files" not in record
    assert [path.name for path in board.results.path("a").parent.iterdir()] == ["a.json"]


def test_a_job_that_uses_up_all_files_is_marked_when_its_worker_ends(
    board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No file can be opened for three rounds: the worker is started anew, and that counts as a crash of the job."""
    left: list[set[str]] = []
    monkeypatch.setattr(played_worker, "FULL", OSError(errno.EMFILE, "Too many open files"))
    monkeypatch.setattr(board.flow.blocked, "_leave", lambda: left.append(_marked(board)))
    board.disk.refuse = {"write"}
    board.broker.put("a")
    board.turn()
    assert _marked(board) == {"a"}
    for _ in range(2):
        assert left == []
        board.pass_time()
    assert left == [{"a"}]


def test_files_that_come_back_blame_no_job(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    """The mark goes with the result."""
    monkeypatch.setattr(played_worker, "FULL", OSError(errno.EMFILE, "Too many open files"))
    board.disk.refuse = {"write"}
    board.broker.put("a")
    board.turn()
    board.disk.well()
    board.pass_time()
    assert board.durable("a")
    assert _marked(board) == set()


def test_a_full_disk_never_ends_the_worker(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is nobody's fault in this process."""
    monkeypatch.setattr(board.flow.blocked, "_leave", lambda: pytest.fail("the worker ends"))
    board.disk.refuse = {"write"}
    board.broker.put("a")
    board.turn()
    for _ in range(5):
        board.pass_time()
    assert _marked(board) == set()


def _marked(board: Board) -> set[str]:
    content = (board.config.layout.running / "main.json").read_bytes()
    return {json.loads(content)["id"]} if content else set()


def test_a_program_that_another_worker_runs_waits_for_it(config: Config) -> None:
    """Two copies of one message may be with two workers after a power cut. Their programs share EDGE_CHECKPOINT."""
    board = Board(msgspec.structs.replace(config, commands=(CommandConfig(name="echo", run=("true",)),)))
    attempt = _attempt()
    with held_elsewhere(config.layout.program_locks, "a"):
        board.flow.advance(attempt, board.power.status)
        assert attempt.parked is not None
        assert attempt.parked.reason == "another worker of this board runs the same job"
        assert attempt.not_before > time.monotonic()
        assert board.bodies.began == []
    board.flow.advance(attempt, board.power.status)
    assert [delivery.id for delivery in board.flow.commit()] == ["a"]
    with held_elsewhere(config.layout.program_locks, "a"):  # released at its end
        assert board.bodies.began == ["a"]
