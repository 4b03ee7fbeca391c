"""Every accepted job reaches the broker even if connections break. No job counts as published before its confirm."""

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
from edge.ledger.rows import JobRow, MessageKey
from edge.model import JobState, Power
from tests.running_worker import until
from tests.unit.broker.played_link import PlayedLink, played_link


def row(seq: int) -> JobRow:
    return JobRow(seq, f"job-{seq}", "t", b"[[],{}]", Power.NORMAL, 0, None, "me", b"", JobState.ACCEPTED, 1.0)


class Gateway:
    """A publisher with a simulated ledger and the simulated connections to the broker."""

    def __init__(self, folder: Path, open_link: Callable[[], PlayedLink]) -> None:
        self.layout = Layout(folder, folder / "run")
        self.complaint = self.layout.complaints / "gateway"
        self.jobs: list[JobRow] = []
        self.queued: set[MessageKey] = set()
        self.store_calls: list[str] = []  # callbacks about the broker's store, in order
        self.confirmed: list[str] = []
        self.violations: list[str] = []  # things that the publisher must not do, but did
        self.refusals: list[Exception] = []  # errors of the ledger, one for each call
        self.unreachable: list[Exception] = []  # errors of the broker, one for each connection
        self.links: list[PlayedLink] = []
        self.requested: list[bool] = []  # at each connection: whether a restart of the broker was requested
        self.closed = False  # the ledger is closed before the publisher ends
        self.shown: list[BrokerLinkState] = []  # states of the connection that were reported
        self.late: list[Future[None]] | None = None  # of a slow ledger: the confirms that it has not recorded
        self.marked = True  # the broker's store is marked
        self.blocking: dict[str, Callable[..., None]] = {}
        self._open_link = open_link
        self.publisher = Publisher(
            BrokerConfig(),
            fetch=self.fetch,
            confirmed=self.confirm,
            reborn=lambda: self.on_store("reborn"),
            claimed=lambda: self.on_store("claimed"),
            changed=lambda link: self.shown.append(link.state),
            complaint=RestartRequest(self.layout, "gateway"),
        )

    @contextmanager
    def connection(self, _config: BrokerConfig, **options: Any) -> Iterator[SimpleNamespace]:
        """Stand in for `topology.connection`."""
        self.requested.append(self.complaint.exists())
        if self.unreachable:
            raise self.unreachable.pop(0)
        link = self._open_link()
        if self.marked:
            link.exchanges["edge.store"] = {}
        self.blocking = {name: options[name] for name in ("on_blocked", "on_unblocked")}
        self.links.append(link)
        yield SimpleNamespace(connection=link)

    def fetch(self, after_seq: int, limit: int) -> list[JobRow]:
        """Return jobs that the broker has not confirmed, oldest first."""
        if self.refusals:
            raise self.refusals.pop(0)
        if self.publisher.link.state is not BrokerLinkState.UP:
            self.violations.append("read jobs while the broker accepts none")
        if len(self.links[-1].published) - len(self.confirmed) + limit > WINDOW:
            self.violations.append("more unconfirmed jobs than the window holds")
        return [job for job in self.jobs if job.seq > after_seq and job.message_key not in self.queued][:limit]

    def confirm(self, jobs: list[JobRow]) -> Future[None]:
        """Record the confirm of these jobs at once, or when the test sets the result of the future."""
        self.confirmed += [job.id for job in jobs]
        if self.closed:
            raise StorageError("ledger", OSError(9, "the gateway is shutting down"))
        recorded: Future[None] = Future()
        if self.late is not None:
            self.late.append(recorded)
            return recorded
        self.queued |= {job.message_key for job in jobs}
        recorded.set_result(None)
        return recorded

    def on_store(self, callback: str) -> None:
        """Record a callback about the broker's store. It must come before the store is marked or a job is published."""
        if self.refusals:
            raise self.refusals.pop(0)
        link = self.links[-1]
        self.store_calls.append(callback)
        if link.written or (callback == "reborn" and not self.marked and link.exchanges):
            self.violations.append(f"marked or published before the call of {callback}")

    def accept(self, *numbers: int) -> None:
        """Add jobs to the ledger."""
        self.jobs += [row(number) for number in numbers]

    def sent(self, link: int = -1) -> list[str]:
        """Return the ids of the jobs that were published over a link, in order."""
        if not self.links:
            return []
        return [each.properties["correlation_id"] for each in self.links[link].published]

    def up(self, count: int = 1) -> PlayedLink:
        """Wait until the connection number `count` is in use, and return the newest link."""
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
        assert gateway.violations == []


def test_jobs_from_before_the_start_are_published_without_a_wakeup(gateway: Gateway) -> None:
    """If the gateway was killed after its 202 and before the publish, the job is published although nobody rings."""
    gateway.accept(1, 2)
    gateway.publisher.start()
    until(lambda: gateway.sent() == ["job-1", "job-2"], "both")


def test_a_job_counts_once_it_is_confirmed(gateway: Gateway) -> None:
    """A job that is sent but not confirmed does not count."""
    gateway.accept(1, 2)
    gateway.publisher.start()
    until(lambda: len(gateway.sent()) == 2, "both")
    assert gateway.confirmed == []
    gateway.links[0].ack(1)
    until(lambda: gateway.confirmed == ["job-1"], "the confirm")


def test_jobs_that_a_lost_connection_did_not_confirm_are_sent_again(gateway: Gateway) -> None:
    """Nobody has to wake the thread for such jobs, and a confirmed job is not sent again."""
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
    """This includes a job that the broker returned and then confirmed."""
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
    """The other jobs follow when confirms come. `fetch` of the test checks that none is sent before."""
    gateway.accept(*range(1, WINDOW + 45))
    gateway.publisher.start()
    until(lambda: len(gateway.sent()) >= WINDOW, "a window")
    gateway.links[0].ack(40, multiple=True)
    until(lambda: len(gateway.sent()) == WINDOW + 40, "room for more")
    gateway.links[0].ack(WINDOW, multiple=True)
    until(lambda: len(gateway.sent()) == WINDOW + 44, "the rest")


def test_a_new_store_gets_every_open_job_before_it_is_marked(gateway: Gateway) -> None:
    """After a cut between the two, the store is unmarked, and all jobs are published again."""
    gateway.marked = False
    gateway.publisher.start()
    assert gateway.up().exchanges["edge.store"]["durable"]
    assert gateway.store_calls == ["reborn"]


def test_a_new_store_is_not_marked_while_the_ledger_cannot_note_it(gateway: Gateway) -> None:
    """A marked store would never get the jobs that the lost store had."""
    gateway.marked = False
    gateway.refusals = [StorageError("ledger", OSError(28, "No space left on device"))]
    gateway.publisher.start()
    gateway.up(2)
    assert gateway.links[0].exchanges == {}
    assert gateway.store_calls == ["reborn"]


def test_a_store_that_is_known_gets_nothing_twice(gateway: Gateway) -> None:
    """Neither a start nor a broken connection makes the gateway publish all jobs again."""
    gateway.publisher.start()
    gateway.up().fail()
    gateway.up(2)
    assert gateway.store_calls == ["claimed", "claimed"]


def test_a_broker_that_was_restarted_for_a_complaint_may_have_lost_jobs(gateway: Gateway) -> None:
    """After a full disk RabbitMQ may lose confirmed jobs but keep its mark. All are published once for each restart."""
    gateway.publisher.start()
    link = gateway.up()
    gateway.layout.run.mkdir(exist_ok=True)
    gateway.layout.broker_restarted.write_text("once")
    link.fail()
    gateway.up(2).fail()
    gateway.up(3)
    assert gateway.store_calls == ["claimed", "claimed", "reborn", "claimed"]


def test_rewind_publishes_a_job_again(gateway: Gateway) -> None:
    """With `rewind`, the publisher also reads jobs before its cursor."""
    gateway.accept(1, 2)
    gateway.publisher.start()
    until(lambda: len(gateway.sent()) == 2, "both")
    gateway.links[0].ack(2, multiple=True)
    until(lambda: len(gateway.queued) == 2, "the confirm")
    gateway.queued.clear()
    gateway.publisher.wake(rewind=True)
    until(lambda: gateway.sent() == ["job-1", "job-2"] * 2, "both again")


def test_a_job_that_the_ledger_has_not_recorded_yet_is_not_sent_again(gateway: Gateway) -> None:
    """The publisher remembers a confirm until the ledger has recorded it."""
    gateway.late = []
    gateway.accept(1)
    gateway.publisher.start()
    until(lambda: len(gateway.sent()) == 1, "the job")
    gateway.links[0].ack(1)
    until(lambda: bool(gateway.late), "the confirm")
    gateway.accept(2)
    gateway.publisher.wake(rewind=True)
    until(lambda: "job-2" in gateway.sent(), "the second job")
    assert gateway.sent() == ["job-1", "job-2"]
    gateway.late[0].set_result(None)
    gateway.publisher.wake(rewind=True)
    until(lambda: gateway.sent() == ["job-1", "job-2", "job-1"], "the ledger has it as unpublished still")


def test_a_restart_of_the_broker_is_requested_at_the_second_refusal(gateway: Gateway) -> None:
    """The first refusal may come from a broker that shuts down. A confirm removes the request."""
    gateway.accept(1)
    gateway.publisher.start()
    for count in (1, 2):
        until(lambda: len(gateway.links) == count and gateway.sent() == ["job-1"], "the job")  # noqa: B023
        gateway.links[-1].nack(1)
    until(lambda: len(gateway.links) == 3 and gateway.sent() == ["job-1"], "the job")
    assert gateway.requested == [False, False, True]
    gateway.links[-1].ack(1)
    until(lambda: not gateway.complaint.exists(), "the request taken back")


def test_a_broker_that_is_away_is_no_reason_to_restart_it(gateway: Gateway) -> None:
    """A network that breaks is none either."""
    gateway.unreachable = [ConnectionRefusedError(111, "Connection refused") for _ in range(4)]
    gateway.publisher.start()
    for count in (1, 2, 3):
        gateway.up(count).fail()
    gateway.up(4)
    assert gateway.requested == [False] * 8


def test_nothing_goes_to_a_broker_that_is_blocked(gateway: Gateway) -> None:
    """When the alarm ends, the jobs that came meanwhile are sent without a wake-up."""
    gateway.publisher.start()
    link = gateway.up()
    link.answer(lambda: gateway.blocking["on_blocked"]("low on memory"))
    until(lambda: gateway.publisher.link.state is BrokerLinkState.BLOCKED, "the alarm")
    assert gateway.publisher.link.reason == "low on memory"
    gateway.accept(1)
    gateway.publisher.wake()
    until(lambda: not gateway.publisher._woken, "a turn of the thread, in which `fetch` checks the state")
    link.answer(gateway.blocking["on_unblocked"])
    until(lambda: gateway.sent() == ["job-1"], "the job")


def test_a_ledger_that_failed_one_read_is_read_again(gateway: Gateway) -> None:
    """The publisher reads it again over the same connection, without a wake-up."""
    gateway.publisher.start()
    gateway.up()
    gateway.accept(1)
    gateway.refusals = [StorageError("ledger", OSError(5, "Input/output error"))]
    gateway.publisher.wake()
    until(lambda: gateway.sent() == ["job-1"], "the job")
    assert len(gateway.links) == 1


def test_during_an_alarm_no_confirm_is_overdue(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """During an alarm the broker may delay its confirms for days, although its queues work."""
    now = [100.0]
    monkeypatch.setattr(sessions, "time", SimpleNamespace(monotonic=lambda: now[0]))
    gateway.accept(1)
    gateway.publisher.start()
    until(lambda: gateway.sent() == ["job-1"], "the job")
    link = gateway.links[0]
    link.answer(lambda: gateway.blocking["on_blocked"]("low on memory"))
    until(lambda: gateway.publisher.link.state is BrokerLinkState.BLOCKED, "the alarm")
    now[0] += sessions.CONFIRM_S + 1
    link.answer(gateway.blocking["on_unblocked"])
    until(lambda: gateway.publisher.link.state is not BrokerLinkState.BLOCKED, "its end")
    gateway.accept(2)
    gateway.publisher.wake()
    until(lambda: "job-2" in gateway.sent(), "the second job")
    assert gateway.sent() == ["job-1", "job-2"]
    assert len(gateway.links) == 1


def test_a_lost_broker_is_shown(gateway: Gateway) -> None:
    """The state is `down` until there is another connection."""
    gateway.publisher.start()
    link = gateway.up()
    gateway.unreachable = [ConnectionRefusedError(111, "Connection refused")]
    link.fail()
    gateway.up(2)
    down, up = BrokerLinkState.DOWN, BrokerLinkState.UP
    assert gateway.shown == [up, down, down, up]  # `down` is reported twice, for two reasons


def test_a_ledger_that_closes_first_costs_no_connection(gateway: Gateway) -> None:
    """A confirm that the closed ledger cannot record does not end the connection. The job is sent again next time."""
    gateway.closed = True
    gateway.accept(1)
    gateway.publisher.start()
    until(lambda: gateway.sent() == ["job-1"], "the job")
    gateway.links[0].ack(1)
    until(lambda: gateway.confirmed == ["job-1"], "the confirm")
    gateway.accept(2)
    gateway.publisher.wake()
    until(lambda: gateway.sent() == ["job-1", "job-2"], "the second job")
    assert len(gateway.links) == 1
