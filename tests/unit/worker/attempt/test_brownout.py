"""A job that causes power cuts soon after its start is told apart from a job on a weak board."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import pytest

from edge.broker.border import Message
from edge.config import Config, WorkerConfig
from edge.model import Attempts, Begun, FailureCode
from edge.results.attempts import AttemptsStore
from edge.worker.api import checkpoint
from edge.worker.api.checkpoint import Checkpoint
from edge.worker.attempt import brownout, history
from edge.worker.attempt.delivery import Delivery
from edge.worker.attempt.history import AttemptHistory

WORKER = WorkerConfig()


def _delivery(**fields: Any) -> Delivery:
    return Delivery(message=cast("Message", None), queue="edge.normal", id="a", task="echo", **fields)


class Boots:
    """A board that is switched on again and again, each time with another boot id and an empty run folder."""

    def __init__(self, config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
        self.config, self._patch, self.count = config, monkeypatch, 0

    def on(self, *, early_cut_s: float = 60.0) -> AttemptHistory:
        self.count += 1
        self._patch.setattr(history, "boot_id", lambda: f"boot {self.count}")
        for mark in self.config.layout.running.glob("*"):
            mark.unlink()
        booted = AttemptHistory(self.config.layout, "main", early_cut_s=early_cut_s)
        booted.recover()
        return booted

    @contextmanager
    def run(self, **options: Any) -> Iterator[tuple[AttemptHistory, Attempts | None]]:
        """Switch the power on and begin the body. At the end of the block the power is cut."""
        booted = self.on(**options)
        earlier = booted.look(_delivery(redeliveries=self.count - 1))
        booted.begin("a")
        yield booted, earlier
        booted._uptime_marker.stop()  # the process is gone

    def cut(self) -> Attempts | None:
        with self.run() as (_, earlier):
            return earlier


@pytest.fixture
def boots(config: Config, monkeypatch: pytest.MonkeyPatch) -> Boots:
    return Boots(config, monkeypatch)


def test_five_cuts_after_a_start_are_suspicious(boots: Boots) -> None:
    """The first two attempts do not count, because no start was recorded for them. Then each cut counts."""
    counts = [earlier.early_cuts if (earlier := boots.cut()) else None for _ in range(7)]
    assert counts == [None, 0, 1, 2, 3, 4, 5]
    earlier = boots.cut()
    assert earlier is not None
    assert earlier.ended == ("interrupted", *["power-cut"] * 6)
    failure = brownout.suspected(earlier, WORKER)
    assert failure is not None
    assert failure.code is FailureCode.BROWN_OUT
    assert failure.message.startswith("the power went 6 times in a row within 60 s of its start, with nothing saved")


@pytest.mark.parametrize(("cuts", "limit"), [(4, 5), (4_000, 0)])
def test_below_the_limit_or_without_one_it_runs_on(cuts: int, limit: int) -> None:
    """The limit 0 switches the check off."""
    earlier = Attempts("a", deliveries=cuts, early_cuts=cuts)
    assert brownout.suspected(earlier, WorkerConfig(max_early_cuts=limit)) is None


def test_a_first_attempt_is_never_suspected() -> None:
    """Nothing is known of it."""
    assert brownout.suspected(None, WORKER) is None


def test_a_job_that_saves_something_between_cuts_is_never_suspected(boots: Boots, config: Config) -> None:
    """Two hundred cuts do no harm if the checkpoint changes in every second run."""
    for number in range(200):
        with boots.run() as (_, earlier):
            assert earlier is None or earlier.early_cuts <= 2
            if number % 2:
                assert Checkpoint(config.layout.checkpoints / "a.json").save(number, now=True)


def test_a_save_that_says_the_same_is_no_progress(boots: Boots, config: Config) -> None:
    """A new content counts, not a new file."""
    for _ in range(7):
        with boots.run() as (_, earlier):
            assert Checkpoint(config.layout.checkpoints / "a.json").save("again", now=True)
    assert earlier is not None
    assert earlier.early_cuts == 5  # the first save came before the first recorded start


def test_a_cut_late_in_a_run_is_not_early(boots: Boots, config: Config) -> None:
    """That the body ran for long is durable before the cut. It clears the earlier cuts."""
    store = AttemptsStore(config.layout)
    for _ in range(5):
        boots.cut()
    with boots.run(early_cut_s=0.01):
        deadline = time.monotonic() + 20
        while not ((noted := store.read("a")) and noted.begun and noted.begun.lasted):
            assert time.monotonic() < deadline
            time.sleep(0.005)
    earlier = boots.cut()
    assert earlier is not None
    assert (earlier.early_cuts, earlier.ended[-1]) == (0, "power-cut")


def test_nothing_is_noted_of_a_body_that_ended(boots: Boots, config: Config) -> None:
    """The record has one writer at a time."""
    boots.cut()
    with boots.run() as (booted, earlier):
        timer = booted._uptime_marker._timers.get("a")
        assert timer is not None
        assert earlier is not None
        booted.end()
        booted._uptime_marker._note(timer, earlier)  # as if the time had come at that moment
    assert AttemptsStore(config.layout).read("a") == earlier


def test_a_stop_in_order_is_no_cut(boots: Boots) -> None:
    """This holds in any later boot."""
    for _ in range(5):
        boots.cut()
    with boots.run() as (booted, earlier):
        booted.end()
        booted.interrupted(earlier)
    earlier = boots.cut()
    assert earlier is not None
    assert (earlier.early_cuts, earlier.ended[-1]) == (0, "interrupted")


def test_a_crash_in_between_is_counted_as_one(boots: Boots) -> None:
    """Crashes have their own limit."""
    for _ in range(4):
        boots.cut()
    with boots.run():
        pass
    booted = AttemptHistory(boots.config.layout, "main")  # the same boot: the mark is there, moved aside
    booted.recover()
    earlier = booted.look(_delivery(redeliveries=boots.count))
    assert earlier is not None
    assert (earlier.early_cuts, earlier.crashes, earlier.ended[-1]) == (0, 1, "crash")


def test_a_copy_that_another_worker_runs_beside_it_hides_no_cut(boots: Boots, config: Config) -> None:
    """The outbox sends unconfirmed jobs again, so two workers of a board may run one job at once."""
    for _ in range(4):
        boots.cut()
    with boots.run() as (_, earlier):
        assert earlier is not None
        assert earlier.early_cuts == 3
        second = AttemptHistory(config.layout, "second")
        second.recover()
        second_look = second.look(_delivery(redeliveries=1))
        assert second_look is not None
        assert (second_look.early_cuts, second_look.begun) == (3, earlier.begun)
    earlier = boots.cut()
    assert earlier is not None
    assert earlier.early_cuts == 4


def test_what_a_dead_worker_was_writing_goes(config: Config) -> None:
    """The unfinished file of a dead worker is removed; that of a living one stays."""
    for folder in (config.layout.attempts, config.layout.checkpoints):
        folder.mkdir(parents=True)
        (folder / ".a.json.4194305.tmp").touch()
        (folder / ".b.json.1.tmp").touch()
    AttemptHistory(config.layout, "main").recover()
    left = [path.name for folder in (config.layout.attempts, config.layout.checkpoints) for path in folder.iterdir()]
    assert left == [".b.json.1.tmp"] * 2


def test_a_broker_that_lost_its_count_hides_no_cut(boots: Boots) -> None:
    """The job comes again from the ledger as a first delivery, but its recorded start has no end."""
    for _ in range(3):
        boots.cut()
    earlier = boots.on().look(_delivery())
    assert earlier is not None
    assert earlier.early_cuts == 2


def test_a_disk_that_refuses_between_look_and_body_costs_no_attempt(boots: Boots) -> None:
    """While the card is full, the same delivery is tried again every 30 s."""
    boots.cut()
    booted = boots.on()
    first = booted.look(_delivery(redeliveries=1))
    assert booted.look(_delivery(redeliveries=1)) == first


def test_an_old_copy_of_a_retried_job_is_no_start(boots: Boots, config: Config) -> None:
    """The body of an old copy never runs, so a later cut does not count for it."""
    earlier = Attempts("a", deliveries=1, failures=1)
    AttemptsStore(config.layout).write(earlier)
    assert boots.on().look(_delivery(redeliveries=1)) == earlier
    assert AttemptsStore(config.layout).read("a") == earlier


def test_a_failure_clears_the_suspicion(boots: Boots) -> None:
    """The body came to an end."""
    earlier = Attempts("a", begun=Begun("boot 0"), early_cuts=4)
    booted = boots.on()
    booted.failed(_delivery(retries=3), earlier, "E")
    noted = booted.attempts.read("a")
    assert noted is not None
    assert (noted.begun, noted.early_cuts, noted.failures) == (None, 0, 1)


def test_what_is_cut_early_saves_earlier() -> None:
    """A board that stays up for only 3 s at a time makes progress too."""
    assert [checkpoint.every_s(cuts) for cuts in (0, 1, 2)] == [5.0, 1.25, 0.3125]
    assert 0 < checkpoint.every_s(1000) < 0.001
