"""A publish counts as done only when the broker confirmed it and had a queue for it."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from edge.broker import session as sessions
from edge.broker.routes import Routes
from edge.broker.session import WINDOW, PublishSession
from edge.config import BrokerConfig
from edge.core.errors import QueueSilent
from edge.ledger.rows import JobRow
from edge.model import JobState, Power
from tests.unit.broker.played_link import PlayedLink, played_link


def job(seq: int, *, arguments: bytes = b"[[1],{}]", failures: int = 0, power: Power = Power.NORMAL) -> JobRow:
    state = JobState.ACCEPTED
    return JobRow(seq, f"job-{seq}", "t", arguments, power, 3, 2.5, "me", b"", state, 1.0, failures=failures)


def ids(jobs: list[JobRow]) -> list[str]:
    return [each.id for each in jobs]


@pytest.fixture
def link() -> Iterator[PlayedLink]:
    with played_link() as link:
        yield link


@pytest.fixture
def session(link: PlayedLink) -> PublishSession:
    return PublishSession(BrokerConfig(), link, Routes())


def test_queues_are_there_and_confirms_are_on_before_anything_is_published(
    link: PlayedLink, session: PublishSession
) -> None:
    """Without confirm mode nobody would know which jobs the broker has."""
    (channel,) = link.channels
    assert sorted(channel.calls[:-1]) == [f"declare edge.{name}" for name in ("always", "dead", "normal", "surplus")]
    assert channel.calls[-1] == "confirm_select"
    assert link.published == []


def test_a_job_goes_to_the_queue_of_its_class_mandatory_and_persistent(
    link: PlayedLink, session: PublishSession
) -> None:
    """The broker returns a job if the queue does not exist, and keeps it through a restart."""
    session.publish(job(n, power=power) for n, power in enumerate(Power))
    assert [each.queue for each in link.published] == [f"edge.{power}" for power in Power]
    assert all(each.mandatory for each in link.published)
    assert {each.properties["delivery_mode"] for each in link.published} == {2}


def test_an_ack_confirms_the_job_of_its_tag(link: PlayedLink, session: PublishSession) -> None:
    """An ack of one tag confirms no other job."""
    session.publish([job(1), job(2), job(3)])
    link.ack(2)
    session.listen()
    assert ids(session.take_confirmed()) == ["job-2"]
    assert session.take_confirmed() == []


def test_a_multiple_ack_confirms_all_up_to_its_tag(link: PlayedLink, session: PublishSession) -> None:
    """RabbitMQ confirms many publishes in this way. Jobs that were confirmed before are not listed twice."""
    session.publish(job(n) for n in range(1, 6))
    link.ack(2)
    link.ack(4, multiple=True)
    session.listen()
    assert sorted(ids(session.take_confirmed())) == ["job-1", "job-2", "job-3", "job-4"]


def test_a_refused_job_is_not_confirmed(link: PlayedLink, session: PublishSession) -> None:
    """A queue over its limit answers with a nack. The publisher then reconnects and publishes the job again."""
    session.publish([job(1)])
    link.nack(1)
    with pytest.raises(QueueSilent, match="refused a job"):
        session.listen()
    assert session.take_confirmed() == []


def test_a_returned_job_is_not_confirmed_by_the_ack_behind_it(link: PlayedLink, session: PublishSession) -> None:
    """RabbitMQ returns a job that it has no queue for, and then confirms it too."""
    session.publish([job(1)])
    link.give_back("edge.normal")
    link.ack(1)
    with pytest.raises(QueueSilent, match=r"queue edge\.normal is gone"):
        session.listen()
    assert session.take_confirmed() == []


def test_all_answers_of_the_broker_are_read_at_once(link: PlayedLink, session: PublishSession) -> None:
    """Otherwise each single confirm would cost a read and a commit of the ledger."""
    session.publish(job(n) for n in range(1, 4))
    for tag in (1, 2, 3):
        link.ack(tag)
    session.listen()
    assert ids(session.take_confirmed()) == ["job-1", "job-2", "job-3"]


def test_a_broken_connection_raises_its_error(link: PlayedLink, session: PublishSession) -> None:
    """The error reaches the publisher, which sends the unconfirmed jobs over another connection."""
    session.publish([job(1)])
    link.fail()
    with pytest.raises(ConnectionResetError):
        session.listen()


def test_the_window_is_freed_by_confirms(link: PlayedLink, session: PublishSession) -> None:
    """Publishes use up the window, and confirms free it."""
    session.publish(job(n) for n in range(1, 11))
    assert session.window_left == WINDOW - 10
    link.ack(4, multiple=True)
    session.listen()
    assert session.window_left == WINDOW - 6


def test_a_job_that_is_on_its_way_is_not_sent_twice(link: PlayedLink, session: PublishSession) -> None:
    """A retry of the same job is another message, and is sent."""
    session.publish([job(1)])
    session.publish([job(1), job(1, failures=1)])
    assert [each.properties["headers"]["edge"]["failures"] for each in link.published] == [0, 1]


def test_a_job_may_be_sent_again_once_it_was_confirmed(link: PlayedLink, session: PublishSession) -> None:
    """This is needed if the broker has lost it since."""
    session.publish([job(1)])
    link.ack(1)
    session.listen()
    session.publish([job(1)])
    assert len(link.published) == 2


def test_a_damaged_job_takes_no_tag(link: PlayedLink, session: PublishSession) -> None:
    """If it took a tag, the confirm of the next job would be assigned to it."""
    session.publish([job(1, arguments=b"[[\xff"), job(2)])
    assert [each.properties["correlation_id"] for each in link.published] == ["job-2"]
    link.ack(1)
    session.listen()
    assert ids(session.take_confirmed()) == ["job-2"]


def test_a_confirm_that_is_overdue_ends_the_session(
    link: PlayedLink, session: PublishSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The oldest unconfirmed publish counts. Without any, nothing is overdue."""
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    assert session.patience() is None
    session.check_patience()
    session.publish([job(1)])
    now[0] += sessions.CONFIRM_S - 1
    session.publish([job(2)])
    assert session.patience() == pytest.approx(1.0)
    session.check_patience()
    now[0] += 1
    with pytest.raises(QueueSilent, match="the oldest of 2 unconfirmed publishes has waited 30 s"):
        session.check_patience()
    session.start_patience()
    assert session.patience() == pytest.approx(sessions.CONFIRM_S)
