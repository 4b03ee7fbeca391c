"""Every accepted job reaches the broker, whatever becomes of a connection, and no job counts before its confirm."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edge.broker import publisher as publishers
from edge.broker import session as sessions
from edge.broker import topology
from edge.broker.publisher import BrokerLinkState, Publisher
from edge.broker.restart_request import RestartRequest
from edge.broker.session import WINDOW
from edge.config import BrokerConfig
from edge.core.backoff import Backoff
from edge.core.errors import StorageError
from edge.core.layout import Layout
from edge.ledger.rows import Edition, JobRow
from edge.model import JobState, Power
from tests.running_worker import until
from tests.unit.broker.played_link import PlayedLink, played_link


def row(seq: int) -> JobRow:
    return JobRow(seq, f"job-{seq}", "t", b"[[],{}]", Power.NORMAL, 0, None, "me", b"", JobState.ACCEPTED, 1.0)


class Gateway:
    """A publisher with the ledger around it, and the links that the broker gives it one after the other."""

    def __init__(self, folder: Path, open_link: Callable[[], PlayedLink]) -> None:
        self.layout = Layout(folder, folder / "run")
        self.complaint = self.layout.complaints / "gateway"
        self.jobs: list[JobRow] = []
        self.queued: set[Edition] = set()
        self.told: list[str] = []  # of the broker's store, in order
        self.confirmed: list[str] = []
        self.against: list[str] = []  # what was done that must not be
        self.refusals: list[Exception] = []  # of the ledger, one for each look or word
        self.unreachable: list[Exception] = []  # of the broker, one for each connection
        self.links: list[PlayedLink] = []
        self.complained: list[bool] = []  # at each connection: the restart of the broker was asked for
        self.closed = False  # the ledger, before this thread ends
        self.shown: list[BrokerLinkState] = []  # how the gateway said that it stands with the broker
        self.late: list[Future[None]] | None = None  # what the ledger has still to note, where it is slow
        self.marked = True  # the broker's store has served a ledger
        self.blocking: dict[str, Callable[..., None]] = {}
        self._open_link = open_link
        self.publisher = Publisher(
            BrokerConfig(),
            fetch=self.fetch,
            confirmed=self.confirm,
            reborn=lambda: self.hear("reborn"),
            claimed=lambda: self.hear("claimed"),
            changed=lambda link: self.shown.append(link.state),
            complaint=RestartRequest(self.layout, "gateway"),
        )

    @contextmanager
    def connection(self, _config: BrokerConfig, **options: Any) -> Iterator[SimpleNamespace]:
        """Stands where `topology.connection` does."""
        self.complained.append(self.complaint.exists())
        if self.unreachable:
            raise self.unreachable.pop(0)
        link = self._open_link()
        if self.marked:
            link.exchanges["edge.store"] = {}
        self.blocking = {name: options[name] for name in ("on_blocked", "on_unblocked")}
        self.links.append(link)
        yield SimpleNamespace(connection=link)

    def fetch(self, after_seq: int, limit: int) -> list[JobRow]:
        """Jobs that no broker has, oldest first."""
        if self.refusals:
            raise self.refusals.pop(0)
        if self.publisher.link.state is not BrokerLinkState.UP:
            self.against.append("looked for jobs while the broker takes none")
        if len(self.links[-1].published) - len(self.confirmed) + limit > WINDOW:
            self.against.append("more unconfirmed than the window has room for")
        return [job for job in self.jobs if job.seq > after_seq and job.edition not in self.queued][:limit]

    def confirm(self, jobs: list[JobRow]) -> Future[None]:
        """The broker has these; the ledger notes it at once, or when the test says so."""
        self.confirmed += [job.id for job in jobs]
        if self.closed:
            raise StorageError("ledger", OSError(9, "the gateway is shutting down"))
        noted: Future[None] = Future()
        if self.late is not None:
            self.late.append(noted)
            return noted
        self.queued |= {job.edition for job in jobs}
        noted.set_result(None)
        return noted

    def hear(self, what: str) -> None:
        """What the publisher tells of the broker's store. Nothing is marked or published before it is heard."""
        if self.refusals:
            raise self.refusals.pop(0)
        link = self.links[-1]
        self.told.append(what)
        if link.written or (what == "reborn" and not self.marked and link.exchanges):
            self.against.append(f"marked or published before {what} was heard")

    def accept(self, *numbers: int) -> None:
        """The ledger has these."""
        self.jobs += [row(number) for number in numbers]

    def sent(self, link: int = -1) -> list[str]:
        """Ids of what went out over a link, in order."""
        if not self.links:
            return []
        return [each.properties["correlation_id"] for each in self.links[link].published]

    def up(self, count: int = 1) -> PlayedLink:
        """The `count`th link, once it is served."""
        until(lambda: len(self.links) >= count and self.publisher.link.state is BrokerLinkState.UP, "a link")
        return self.links[-1]


@pytest.fixture
def gateway(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gateway]:
    with ExitStack() as stack:
        gateway = Gateway(tmp_path, lambda: stack.enter_context(played_link()))
        monkeypatch.setattr(topology, "connection", gateway.connection)
        monkeypatch.setattr(topology, "establish", lambda _link: None)
        for name in ("_RETRY", "_BOOT_RETRY"):
            monkeypatch.setattr(publishers, name, Backoff(first_s=0.01, most_s=0.01))
        yield gateway
        gateway.publisher.stop()
        assert gateway.against == []


def test_what_was_accepted_before_the_start_goes_out_by_itself(gateway: Gateway) -> None:
    """A gateway that was killed between its 202 and the publish leaves nothing behind: nobody rings for such a job."""
    gateway.accept(1, 2)
    gateway.publisher.start()
    until(lambda: gateway.sent() == ["job-1", "job-2"], "both")


def test_a_job_counts_once_it_is_confirmed(gateway: Gateway) -> None:
    """Not when it is on its way."""
    gateway.accept(1, 2)
    gateway.publisher.start()
    until(lambda: len(gateway.sent()) == 2, "both")
    assert gateway.confirmed == []
    gateway.links[0].ack(1)
    until(lambda: gateway.confirmed == ["job-1"], "the confirm")


def test_what_a_lost_connection_did_not_confirm_goes_out_over_the_next(gateway: Gateway) -> None:
    """Nobody rings for it, and what was confirmed stays where it is."""
    gateway.accept(1, 2, 3)
    gateway.publisher.start()
    until(lambda: len(gateway.sent()) == 3, "all")
    gateway.links[0].ack(2)
    until(lambda: gateway.confirmed == ["job-2"], "the confirm")
    gateway.links[0].fail()
    gateway.up(2)
    until(lambda: gateway.sent() == ["job-1", "job-3"], "the others")


@pytest.mark.parametrize("answer", ["nack", "give_back"])
def test_a_job_that_was_refused_or_returned_is_sent_again(gateway: Gateway, answer: str) -> None:
    """Also one that the broker confirmed after it had returned it."""
    gateway.accept(1)
    gateway.publisher.start()
    until(lambda: len(gateway.sent()) == 1, "the job")
    link = gateway.links[0]
    if answer == "nack":
        link.nack(1)
    else:
        link.give_back("edge.normal")
        link.ack(1)
    gateway.up(2)
    until(lambda: gateway.sent() == ["job-1"], "the job again")
    assert gateway.confirmed == []


def test_no_more_are_unconfirmed_than_the_window_holds(gateway: Gateway) -> None:
    """The others follow as the confirms come; `fetch` watches that none goes out before."""
    gateway.accept(*range(1, WINDOW + 45))
    gateway.publisher.start()
    until(lambda: len(gateway.sent()) >= WINDOW, "a window")
    gateway.links[0].ack(40, multiple=True)
    until(lambda: len(gateway.sent()) == WINDOW + 40, "room for more")
    gateway.links[0].ack(WINDOW, multiple=True)
    until(lambda: len(gateway.sent()) == WINDOW + 44, "the rest")


def test_a_new_store_gets_every_open_job_before_it_is_marked(gateway: Gateway) -> None:
    """A cut between the two finds it unmarked, and publishes all once more."""
    gateway.marked = False
    gateway.publisher.start()
    assert gateway.up().exchanges["edge.store"]["durable"]
    assert gateway.told == ["reborn"]


def test_a_new_store_is_not_marked_while_the_ledger_cannot_note_it(gateway: Gateway) -> None:
    """Marked, it would never get the jobs that its predecessor had."""
    gateway.marked = False
    gateway.refusals = [StorageError("ledger", OSError(28, "No space left on device"))]
    gateway.publisher.start()
    gateway.up(2)
    assert gateway.links[0].exchanges == {}
    assert gateway.told == ["reborn"]


def test_a_store_that_is_known_gets_nothing_twice(gateway: Gateway) -> None:
    """Neither at the start nor after a connection that merely broke."""
    gateway.publisher.start()
    gateway.up().fail()
    gateway.up(2)
    assert gateway.told == ["claimed", "claimed"]


def test_a_broker_that_was_restarted_for_a_complaint_may_have_lost_jobs(gateway: Gateway) -> None:
    """A full disk takes from RabbitMQ what it had confirmed, and its mark stays. Once for each restart."""
    gateway.publisher.start()
    link = gateway.up()
    gateway.layout.run.mkdir(exist_ok=True)
    gateway.layout.broker_restarted.write_text("once")
    link.fail()
    gateway.up(2).fail()
    gateway.up(3)
    assert gateway.told == ["claimed", "claimed", "reborn", "claimed"]


def test_a_job_that_is_to_be_published_again_is(gateway: Gateway) -> None:
    """Though the publisher has been past it."""
    gateway.accept(1, 2)
    gateway.publisher.start()
    until(lambda: len(gateway.sent()) == 2, "both")
    gateway.links[0].ack(2, multiple=True)
    until(lambda: len(gateway.queued) == 2, "the confirm")
    gateway.queued.clear()
    gateway.publisher.ring(rewind=True)
    until(lambda: gateway.sent() == ["job-1", "job-2"] * 2, "both again")


def test_what_the_ledger_has_not_noted_yet_is_not_sent_again(gateway: Gateway) -> None:
    """Its confirm is known here."""
    gateway.late = []
    gateway.accept(1)
    gateway.publisher.start()
    until(lambda: len(gateway.sent()) == 1, "the job")
    gateway.links[0].ack(1)
    until(lambda: bool(gateway.late), "the confirm")
    gateway.accept(2)
    gateway.publisher.ring(rewind=True)
    until(lambda: "job-2" in gateway.sent(), "the second job")
    assert gateway.sent() == ["job-1", "job-2"]
    gateway.late[0].set_result(None)
    gateway.publisher.ring(rewind=True)
    until(lambda: gateway.sent() == ["job-1", "job-2", "job-1"], "the ledger has it as unpublished still")


def test_a_restart_of_the_broker_is_asked_for_at_the_second_refusal(gateway: Gateway) -> None:
    """The first may be of a broker that goes down; a confirm takes the request back."""
    gateway.accept(1)
    gateway.publisher.start()
    for count in (1, 2):
        until(lambda: len(gateway.links) == count and gateway.sent() == ["job-1"], "the job")  # noqa: B023
        gateway.links[-1].nack(1)
    until(lambda: len(gateway.links) == 3 and gateway.sent() == ["job-1"], "the job")
    assert gateway.complained == [False, False, True]
    gateway.links[-1].ack(1)
    until(lambda: not gateway.complaint.exists(), "the request taken back")


def test_a_broker_that_is_away_is_no_reason_to_restart_it(gateway: Gateway) -> None:
    """Nor a network that breaks."""
    gateway.unreachable = [ConnectionRefusedError(111, "Connection refused") for _ in range(4)]
    gateway.publisher.start()
    for count in (1, 2, 3):
        gateway.up(count).fail()
    gateway.up(4)
    assert gateway.complained == [False] * 8


def test_nothing_goes_to_a_broker_that_is_blocked(gateway: Gateway) -> None:
    """When the alarm ends the jobs that came meanwhile go out by themselves."""
    gateway.publisher.start()
    link = gateway.up()
    link.say(lambda: gateway.blocking["on_blocked"]("low on memory"))
    until(lambda: gateway.publisher.link.state is BrokerLinkState.BLOCKED, "the alarm")
    assert gateway.publisher.link.reason == "low on memory"
    gateway.accept(1)
    gateway.publisher.ring()
    until(lambda: not gateway.publisher._rung, "a turn of the thread, in which `fetch` watches")
    link.say(gateway.blocking["on_unblocked"])
    until(lambda: gateway.sent() == ["job-1"], "the job")


def test_a_ledger_that_refused_one_look_is_looked_at_again(gateway: Gateway) -> None:
    """Over the same connection, and nobody has to ring."""
    gateway.publisher.start()
    gateway.up()
    gateway.accept(1)
    gateway.refusals = [StorageError("ledger", OSError(5, "Input/output error"))]
    gateway.publisher.ring()
    until(lambda: gateway.sent() == ["job-1"], "the job")
    assert len(gateway.links) == 1


def test_an_alarm_counts_for_no_silence_of_the_broker(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may hold back its confirms for days, and its queues are well all the same."""
    now = [100.0]
    monkeypatch.setattr(sessions, "time", SimpleNamespace(monotonic=lambda: now[0]))
    gateway.accept(1)
    gateway.publisher.start()
    until(lambda: gateway.sent() == ["job-1"], "the job")
    link = gateway.links[0]
    link.say(lambda: gateway.blocking["on_blocked"]("low on memory"))
    until(lambda: gateway.publisher.link.state is BrokerLinkState.BLOCKED, "the alarm")
    now[0] += sessions.CONFIRM_S + 1
    link.say(gateway.blocking["on_unblocked"])
    until(lambda: gateway.publisher.link.state is not BrokerLinkState.BLOCKED, "its end")
    gateway.accept(2)
    gateway.publisher.ring()
    until(lambda: "job-2" in gateway.sent(), "the second job")
    assert gateway.sent() == ["job-1", "job-2"]
    assert len(gateway.links) == 1


def test_a_lost_broker_is_shown(gateway: Gateway) -> None:
    """As down, until there is another connection."""
    gateway.publisher.start()
    link = gateway.up()
    gateway.unreachable = [ConnectionRefusedError(111, "Connection refused")]
    link.fail()
    gateway.up(2)
    down, up = BrokerLinkState.DOWN, BrokerLinkState.UP
    assert gateway.shown == [up, down, down, up]  # twice: for two reasons


def test_a_ledger_that_closes_first_costs_no_connection(gateway: Gateway) -> None:
    """What it could not note is published once more at the next start."""
    gateway.closed = True
    gateway.accept(1)
    gateway.publisher.start()
    until(lambda: gateway.sent() == ["job-1"], "the job")
    gateway.links[0].ack(1)
    until(lambda: gateway.confirmed == ["job-1"], "the confirm")
    gateway.accept(2)
    gateway.publisher.ring()
    until(lambda: gateway.sent() == ["job-1", "job-2"], "the second job")
    assert len(gateway.links) == 1
