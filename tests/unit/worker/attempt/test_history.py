"""How earlier deliveries ended is found out from the marks and records that they left."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from edge.broker.border import Message
from edge.config import Config
from edge.core.errors import Unreachable
from edge.core.host import boot_id
from edge.model import Attempts
from edge.results.attempts import AttemptsStore
from edge.worker.api.checkpoint import Checkpoint
from edge.worker.attempt.delivery import Delivery
from edge.worker.attempt.history import AttemptHistory, RunningMark

DEAD_PID = 2**22 + 1


def _delivery(**fields: Any) -> Delivery:
    return Delivery(message=cast("Message", None), queue="edge.normal", id="a", task="echo", **fields)


@pytest.fixture
def history(config: Config) -> AttemptHistory:
    history = AttemptHistory(config.layout, "main")
    history.recover()
    return history


def _leave(config: Config, name: str, mark: RunningMark) -> None:
    (config.layout.running / f"{name}.json").write_bytes(msgspec.json.encode(mark))


def test_a_first_delivery_writes_nothing(history: AttemptHistory, config: Config) -> None:
    """This spares the card."""
    assert history.look(_delivery()) is None
    history.begin("a")
    history.end()
    assert not config.layout.attempts.exists()


@pytest.mark.parametrize(
    ("mark", "how", "crashes"),
    [
        (None, "interrupted", 0),
        (RunningMark("a", boot_id(), DEAD_PID), "crash", 1),
        (RunningMark("a", boot_id(), DEAD_PID, ended="oom-kill"), "out-of-memory", 1),
        (RunningMark("a", boot_id(), DEAD_PID, ended="watchdog"), "crash", 1),
        (RunningMark("a", "another boot", 1), "power-cut", 0),
        (RunningMark("another job", boot_id(), DEAD_PID), "interrupted", 0),
        (RunningMark("a", boot_id(), 1), "interrupted", 0),  # its worker lives: the connection broke
    ],
)
def test_a_redelivery_is_recorded_with_its_reason(
    history: AttemptHistory, config: Config, mark: RunningMark | None, how: str, crashes: int
) -> None:
    """The record is durable before the body runs again."""
    if mark is not None:
        _leave(config, "other", mark)
    earlier = history.look(_delivery(redeliveries=1))
    assert earlier is not None
    assert (earlier.deliveries, earlier.ended, earlier.crashes) == (1, (how,), crashes)
    assert AttemptsStore(config.layout).read("a") == earlier


def test_a_mark_outlives_its_worker_until_its_job_is_back(config: Config, history: AttemptHistory) -> None:
    """The next worker with the same name runs other jobs first. The crash still counts, and only once."""
    history.begin("a")
    successor = AttemptHistory(config.layout, "main")
    successor.recover()
    successor.begin("b")
    successor.end()
    for count in (1, 2):
        earlier = successor.look(_delivery(redeliveries=count))
        assert earlier is not None
        assert (earlier.crashes, earlier.ended) == (1, ("crash", "interrupted")[:count])


@pytest.mark.parametrize(("reason", "how"), [("oom-kill\n", "out-of-memory"), ("signal\n", "crash"), (None, "crash")])
def test_the_unit_tells_how_the_worker_before_ended(
    config: Config,
    history: AttemptHistory,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    reason: str | None,
    how: str,
) -> None:
    """The reason counts only for the job that ran then."""
    reason_file = tmp_path / "edge-worker.ended"
    monkeypatch.setenv("EDGE_ENDED", str(reason_file))
    history.begin("a")
    if reason is not None:
        reason_file.write_text(reason)
    successor = AttemptHistory(config.layout, "main")
    successor.recover()
    assert not reason_file.exists()
    earlier = successor.look(_delivery(redeliveries=1))
    assert earlier is not None
    assert (earlier.crashes, earlier.ended) == (1, (how,))
    successor.begin("a")
    third = AttemptHistory(config.layout, "main")
    third.recover()
    earlier = third.look(_delivery(redeliveries=2))
    assert earlier is not None
    assert (earlier.crashes, earlier.ended) == (2, (how, "crash"))


def test_a_delivery_that_went_back_unbegun_is_no_attempt(history: AttemptHistory, config: Config) -> None:
    """But it counts if another worker had the message in between."""
    history.give_back(_delivery(redeliveries=2))
    assert history.look(_delivery(redeliveries=3)) is None
    history.give_back(_delivery(redeliveries=3))
    earlier = history.look(_delivery(redeliveries=5))
    assert earlier is not None
    assert earlier.deliveries == 1


def test_a_failure_is_counted(history: AttemptHistory, config: Config) -> None:
    """So an old copy of the message is recognised."""
    history.failed(_delivery(failures=1), None, "E: x")
    earlier = AttemptsStore(config.layout).read("a")
    assert earlier is not None
    assert (earlier.failures, earlier.deliveries, earlier.ended, earlier.last_error) == (2, 1, ("error",), "E: x")


def test_the_record_does_not_grow_for_ever(history: AttemptHistory) -> None:
    """Hundreds of power cuts do no harm."""
    for count in range(1, 80):
        earlier = history.look(_delivery(redeliveries=count))
    assert earlier is not None
    assert (earlier.deliveries, len(earlier.ended)) == (79, 50)


def test_what_is_kept_of_jobs_that_ended_on_another_board_goes(config: Config, history: AttemptHistory) -> None:
    """A node does not learn of their end, and its card would fill up. While the head is away, everything stays."""
    for job_id in ("over", "open"):
        AttemptsStore(config.layout).write(Attempts(job_id, deliveries=1))
        Checkpoint(config.layout.checkpoints / f"{job_id}.json", every_s=0.0).save(1)
    (config.layout.checkpoints / "a person's.json").touch()

    def away(_job_id: str) -> bool:
        raise Unreachable("the head is away")

    with pytest.raises(Unreachable):
        history.tidy(away)
    assert set(AttemptsStore(config.layout).ids()) == {"over", "open"}
    history.tidy(lambda job_id: job_id == "over")
    assert set(AttemptsStore(config.layout).ids()) == {"open"}
    assert {path.name for path in config.layout.checkpoints.iterdir()} == {"open.json", "a person's.json"}


def _crashed(config: Config, ran: int, *ids: str) -> None:
    """Leave the mark of a worker of threads that died while these bodies ran, `ran` bodies in all."""
    _leave(config, "io.1234", RunningMark(ids[0], boot_id(), DEAD_PID, others=ids[1:], ran=ran))


def test_a_crash_beside_others_counts_for_none(history: AttemptHistory, config: Config) -> None:
    """Nobody knows which body caused it. They run again, and at most half as many at once."""
    _crashed(config, 8, "b", "a", "c")
    assert history.parallel_limit(_delivery(redeliveries=1)) == 4
    known = history.look(_delivery(redeliveries=1))
    assert known is not None
    assert (known.crashes, known.suspects, known.ended) == (0, 8, ("crash",))
    assert history.parallel_limit(_delivery(redeliveries=2)) == 4
    left = msgspec.json.decode((config.layout.running / "io.1234.json").read_bytes(), type=RunningMark)
    assert (left.ids, left.ran) == (("b", "c"), 8)


def test_a_crash_alone_counts(history: AttemptHistory, config: Config) -> None:
    """The body caused it, and it runs alone from then on."""
    _crashed(config, 1, "a")
    known = history.look(_delivery(redeliveries=1))
    assert known is not None
    assert (known.crashes, known.suspects) == (1, 1)
    assert history.parallel_limit(_delivery(redeliveries=2)) == 1
    assert not list(config.layout.running.glob("io.1234*"))


def test_a_suspect_that_went_back_is_one_still(config: Config) -> None:
    """Its message went back before its history was read."""
    history = AttemptHistory(config.layout, "io", many=True)
    history.recover()
    _crashed(config, 8, "a")
    history.give_back(_delivery(redeliveries=1))
    known = history.look(_delivery(redeliveries=2, first_in_queue=False))
    assert known is not None
    assert known.suspects == 8


def test_a_cut_makes_no_suspects(history: AttemptHistory, config: Config) -> None:
    """A mark of another boot means a power cut."""
    _leave(config, "io.1234", RunningMark("b", "another boot", 1, others=("a",), ran=2))
    assert history.parallel_limit(_delivery(redeliveries=1)) == 0
    known = history.look(_delivery(redeliveries=1))
    assert known is not None
    assert (known.suspects, known.ended) == (0, ("power-cut",))


def test_all_bodies_that_run_are_marked(config: Config) -> None:
    """They are in one file, which is empty while no body runs."""
    history = AttemptHistory(config.layout, "io", many=True)
    history.recover()
    path = config.layout.running / "io.json"
    for number in range(50):
        history.begin(str(number))
    assert msgspec.json.decode(path.read_bytes(), type=RunningMark).ran == 50
    history.end(*(str(number) for number in range(48)))
    mark = msgspec.json.decode(path.read_bytes(), type=RunningMark)
    assert (mark.ids, mark.ran) == (("48", "49"), 2)
    history.end("48")
    history.end("49")
    assert path.read_bytes() == b""
