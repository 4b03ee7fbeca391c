"""The intake of a worker whose bodies run in threads and end in any order."""

from __future__ import annotations

import errno
import os
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.config import Config
from edge.core.host import boot_id
from edge.model import JobState, PowerState
from edge.worker.attempt.history import RunningMark
from tests.unit.worker.played_worker import NORMAL, Board, ThreadBodies

DEAD_PID = 2**22 + 1


@pytest.fixture
def board(config: Config) -> Board:
    """Return a worker with four threads."""
    return Board(config, threads=4)


def put(board: Board, *ids: str, **how: Any) -> ThreadBodies:
    """Publish jobs and run one turn of the loop."""
    for job_id in ids:
        board.broker.put(job_id, **how)
    board.turns()
    return board.threads


def test_as_many_begin_as_there_are_threads(board: Board) -> None:
    """Each end of a body lets another one begin."""
    bodies = put(board, *"abcdef")
    assert bodies.began == list("abcd")
    bodies.finish("c")
    board.turns()
    assert bodies.began == list("abcde")
    assert board.broker.acked == ["c"]


def test_bodies_that_end_together_are_committed_together(board: Board) -> None:
    """They are one group. They take one frame if they are the oldest, otherwise one frame each."""
    bodies = put(board, *"abcd")
    frames = board.broker.frames
    bodies.finish("b", "a")
    board.turns()
    assert sorted(board.broker.acked) == ["a", "b"]
    assert board.broker.frames == frames + 1
    put(board, "e", "f")
    frames = board.broker.frames
    bodies.finish("e", "f")
    board.turns()
    assert board.broker.frames == frames + 2
    assert {each.id for _, each in board.broker.unacked.values()} == {"c", "d"}


def test_a_pause_gives_back_what_has_not_begun(board: Board) -> None:
    """Running bodies get the report, and their messages stay in hand."""
    bodies = put(board, *"abcd")
    put(board, "x", queue="edge.surplus")
    board.power.report(PowerState.PAUSED)
    board.turns()
    assert bodies.heard[-1] is PowerState.PAUSED
    assert {message.id for _, message in board.broker.unacked.values()} == set("abcd")
    assert board.broker.names == ()
    board.power.report(PowerState.NORMAL)
    board.turns()
    assert NORMAL in board.broker.names  # though messages of it are in hand


def test_a_body_that_runs_meets_its_message_again(board: Board) -> None:
    """After a lost connection no second body begins. The new message is acknowledged at the end."""
    bodies = put(board, "a", "b")
    board.disconnect()
    board.connect()
    board.turns()
    assert bodies.began == ["a", "b"]
    bodies.finish("a", "b")
    board.turns()
    assert sorted(board.broker.acked) == ["a", "b"]
    assert board.results.read("a") is not None


def test_bodies_end_while_there_is_no_connection(board: Board) -> None:
    """Their results are durable. Their messages are acknowledged when they come again."""
    bodies = put(board, "a", "b")
    board.disconnect()
    bodies.finish("a")
    board.intake.serve_bodies()
    assert board.results.has("a")
    board.connect()
    board.turns()
    assert board.broker.acked == ["a"]
    assert bodies.began == ["a", "b"]


def test_the_message_of_a_later_retry_waits(board: Board) -> None:
    """It is not settled together with the attempt before it."""
    bodies = put(board, "a")
    put(board, "a", failures=1, retries=3)
    assert bodies.began == ["a"]
    bodies.finish("a")
    board.turns()
    while board.timers and not board.broker.acked:  # a lone acknowledgement waits for others
        board.pass_time()
    assert board.broker.acked == ["a"]
    assert len(board.broker.unacked) == 1


def test_a_stop_waits_for_the_bodies_only(board: Board) -> None:
    """Jobs that have not begun go back at once. The loop ends with the last body."""
    bodies = put(board, *"abcd")
    put(board, "x", queue="edge.always")
    board.control.stopping = True
    board.turns()
    assert board.broker.back == ["x"]
    assert board.emptied == 0
    bodies.finish(*"abcd")
    board.turns()
    assert sorted(board.broker.acked) == list("abcd")
    assert board.emptied > 0


def crashed(board: Board, *ids: str) -> None:
    """Leave the mark of a worker of threads that died while these bodies ran."""
    mark = RunningMark(ids[0], boot_id(), DEAD_PID, others=ids[1:], ran=len(ids))
    path = board.config.layout.running / f"main.{os.urandom(2).hex()}.json"
    path.write_bytes(msgspec.json.encode(mark))
    for job_id in ids:
        board.broker.put(job_id)
        board.broker.queues[NORMAL][-1].deliveries = 1


def test_suspects_run_in_halves_and_apart(board: Board) -> None:
    """Two of four run at once and no other body with them. Later messages of the queue wait."""
    crashed(board, *"abcd")
    bodies = put(board, "x")
    assert bodies.began == ["a", "b"]
    bodies.finish("a")
    board.turns()
    assert bodies.began == ["a", "b", "c"]
    bodies.finish("b", "c")
    board.turns()
    assert bodies.began == ["a", "b", "c", "d"]
    bodies.finish("d")
    board.turns()
    assert bodies.began == ["a", "b", "c", "d", "x"]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_day_ends_well(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """Power, connection, ends and messages come in any order.

    Each job has one result, and nothing begins against power.
    """
    from edge.config import load

    root = tmp_path_factory.mktemp("day")
    path = root / "edge.yaml"
    path.write_text("root: state\nrun: run\n")
    board = Board(load(path, env={}).config, threads=data.draw(st.integers(1, 5)))
    jobs = 0
    for _ in range(data.draw(st.integers(1, 25))):
        match data.draw(st.sampled_from(["put", "put", "end", "end", "power", "lose", "turn"])):
            case "put":
                board.broker.put(f"j{jobs}", data.draw(st.sampled_from([NORMAL, "edge.always", "edge.surplus"])))
                jobs += 1
            case "end" if left := sorted(set(board.threads.running) - {each.id for each in board.threads.over}):
                board.threads.finish(data.draw(st.sampled_from(left)))
            case "power":
                board.power.report(data.draw(st.sampled_from(list(PowerState))))
            case "lose":
                board.disconnect()
                board.intake.serve_bodies()
                board.connect()
        if data.draw(st.booleans()):
            board.turns()
    board.power.report(PowerState.SURPLUS)
    for _ in range(jobs + 2):
        board.turns()
        board.threads.finish(*(set(board.threads.running) - {each.id for each in board.threads.over}))
    board.turns()
    assert board.threads.wrong == []
    assert sorted(set(board.broker.acked)) == sorted(f"j{number}" for number in range(jobs))
    assert sorted(board.threads.began) == sorted(set(board.threads.began))
    for number in range(jobs):
        result = board.results.read(f"j{number}")
        assert result is not None
        assert result.state is JobState.SUCCEEDED
    assert board.broker.unacked == {}
    assert board.early_acks == []


def test_a_record_that_cannot_be_read_ends_no_connection(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    """The job may be a suspect, so it begins when no other body runs."""

    def unreadable(_delivery: object) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    bodies = put(board, "a")
    with monkeypatch.context() as patch:
        patch.setattr(board.history, "parallel_limit", unreadable)
        put(board, "b")
        assert bodies.began == ["a"]
        bodies.finish("a")
        board.turns()
        assert bodies.began == ["a", "b"]
