"""How earlier deliveries ended, told from what they left behind."""

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
    """The card is spared."""
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
    """Durably, before the body runs again."""
    if mark is not None:
        _leave(config, "other", mark)
    earlier = history.look(_delivery(redeliveries=1))
    assert earlier is not None
    assert (earlier.deliveries, earlier.ended, earlier.crashes) == (1, (how,), crashes)
    assert AttemptsStore(config.layout).read("a") == earlier


def test_a_mark_outlives_its_worker_until_its_job_is_back(config: Config, history: AttemptHistory) -> None:
    """The next worker of the name runs other jobs first, and the crash still counts, once."""
    history.begin("a")
    successor = AttemptHistory(config.layout, "main")
    successor.recover()
    successor.begin("b")
    successor.end()
    for count in (1, 2):
        earlier = successor.look(_delivery(redeliveries=count))
        assert earlier is not None
        assert (earlier.crashes, earlier.ended) == (1, ("crash", "interrupted")[:count])


@pytest.mark.parametrize(("word", "how"), [("oom-kill\n", "out-of-memory"), ("signal\n", "crash"), (None, "crash")])
def test_the_unit_tells_how_the_worker_before_ended(
    config: Config, history: AttemptHistory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, word: str | None, how: str
) -> None:
    """Its word counts for the job that ran then, and no further."""
    told = tmp_path / "edge-worker.ended"
    monkeypatch.setenv("EDGE_ENDED", str(told))
    history.begin("a")
    if word is not None:
        told.write_text(word)
    successor = AttemptHistory(config.layout, "main")
    successor.recover()
    assert not told.exists()
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
    """Unless somebody else had it in between."""
    history.give_back(_delivery(redeliveries=2))
    assert history.look(_delivery(redeliveries=3)) is None
    history.give_back(_delivery(redeliveries=3))
    earlier = history.look(_delivery(redeliveries=5))
    assert earlier is not None
    assert earlier.deliveries == 1


def test_a_failure_is_counted(history: AttemptHistory, config: Config) -> None:
    """So that an old copy of the message is known as old."""
    history.failed(_delivery(failures=1), None, "E: x")
    earlier = AttemptsStore(config.layout).read("a")
    assert earlier is not None
    assert (earlier.failures, earlier.deliveries, earlier.ended, earlier.last_error) == (2, 1, ("error",), "E: x")


def test_the_record_does_not_grow_for_ever(history: AttemptHistory) -> None:
    """Hundreds of power cuts are fine."""
    for count in range(1, 80):
        earlier = history.look(_delivery(redeliveries=count))
    assert earlier is not None
    assert (earlier.deliveries, len(earlier.ended)) == (79, 50)


def test_what_is_kept_of_jobs_that_ended_on_another_board_goes(config: Config, history: AttemptHistory) -> None:
    """A node never hears of their end, and its card filled up; while the head is away all stays."""
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
