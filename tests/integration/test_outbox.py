"""Accepted jobs reach the broker, also after an outage, a restart, a lost queue or a refusal."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edge.broker import topology as broker_module
from edge.broker.publisher import BrokerLink, BrokerLinkState
from edge.config import BrokerConfig, Config
from edge.core.backoff import Backoff
from edge.core.errors import BrokerError, EdgeError, JobGone, KeyReused, QueueSilent, StorageError, TooManyJobs
from edge.gateway.background.outbox import RETRY, Outbox
from edge.ledger.reader import LedgerReader
from edge.ledger.recovery import rebuild
from edge.ledger.rows import Accepted, JobRow, NewJob
from edge.ledger.writer import LedgerWriter
from edge.model import JobState, Power, derived_job_id, new_job_id
from edge.results.store import Results
from edge.up.broker import rabbitmq
from edge.up.broker.node import PrivateNode
from tests.conftest import MakeConfig

pytestmark = pytest.mark.broker
#: Erlang expression: RabbitMQ then runs and refuses every client, as after a power cut that broke the log of a queue.
VHOST_DOWN = 'rabbit_vhost_sup_sup:stop_and_delete_vhost(<<"/">>).'


def new(key: str = "", *, fingerprint: bytes = b"", power: Power = Power.NORMAL) -> NewJob:
    job_id = derived_job_id("me", key) if key else new_job_id()
    return NewJob(job_id, "solve", [1, "2 + 2"], {}, power, 1, 2.5, "me", fingerprint, key)


@asynccontextmanager
async def running(config: Config) -> AsyncIterator[Outbox]:
    config.layout.root.mkdir(exist_ok=True)
    outbox = Outbox(config)
    outbox.start()
    try:
        yield outbox
    finally:
        await outbox.stop()


async def until(what: Callable[[], bool], *, seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "not in time"
        await asyncio.sleep(0.02)


def all_queued(outbox: Outbox, count: int) -> Callable[[], bool]:
    return lambda: outbox.totals.jobs.get(JobState.QUEUED, 0) == count


async def accept(outbox: Outbox, *jobs: NewJob) -> list[str]:
    answers = await outbox.accept(jobs)
    assert all(isinstance(answer, Accepted) for answer in answers), answers
    return [answer.job.id for answer in answers if isinstance(answer, Accepted)]


def take(config: BrokerConfig, power: Power) -> list[Any]:
    """Take every message of a power class from its queue."""
    messages = []
    with broker_module.open_channel(config) as channel:
        while (message := channel.basic_get(broker_module.queue_name(power))) is not None:
            channel.basic_ack(message.delivery_tag)
            messages.append(message)
    return messages


def ctl(node: PrivateNode, *words: str) -> None:
    """Run rabbitmqctl against the running node; it starts an Erlang VM and takes seconds."""
    program = rabbitmq.find_server().with_name("rabbitmqctl")
    subprocess.run([program, *words], env=rabbitmq.environment(node.base, node.ports), check=True, timeout=60)


def run(main: Awaitable[None]) -> None:
    async def bounded() -> None:
        await asyncio.wait_for(main, 90)

    asyncio.run(bounded())


def test_each_class_has_its_queue_and_order_is_kept(broker: BrokerConfig, make_config: MakeConfig) -> None:
    """Jobs arrive once, persistent, in the order of acceptance, in the queue of their class."""

    async def main() -> None:
        async with running(make_config(broker)) as outbox:
            jobs = [new(power=list(Power)[n % 3]) for n in range(60)]
            ids = await accept(outbox, *jobs)
            await until(all_queued(outbox, 60))
            for number, power in enumerate(Power):
                got = await asyncio.to_thread(take, broker, power)
                assert [m.properties["correlation_id"] for m in got] == ids[number::3]
                assert {m.properties["delivery_mode"] for m in got} == {2}

    run(main())


def test_a_job_accepted_while_the_broker_is_away_is_published_when_it_is_back(
    broker: BrokerConfig, broker_node: PrivateNode, make_config: MakeConfig
) -> None:
    """A submit needs no broker, and a restart of the gateway in between loses nothing."""

    async def main() -> None:
        config = make_config(broker)
        broker_node.stop()
        async with running(config) as outbox:
            first = await accept(outbox, new())
            await until(lambda: outbox.link.state is BrokerLinkState.DOWN and "nothing listens" in outbox.link.reason)
        async with running(config) as outbox:
            second = await accept(outbox, new())
            broker_node.start()
            await until(all_queued(outbox, 2))
        got = await asyncio.to_thread(take, broker, Power.NORMAL)
        assert [m.properties["correlation_id"] for m in got] == first + second

    run(main())


def test_a_broker_that_dies_under_load_gets_every_job(
    broker: BrokerConfig, broker_node: PrivateNode, make_config: MakeConfig
) -> None:
    """After a SIGKILL of the broker in the middle of a batch each job arrives, at least once."""

    async def main() -> None:
        async with running(make_config(broker, gateway={"release_window": 4096})) as outbox:
            await until(lambda: outbox.link.state is BrokerLinkState.UP)
            await asyncio.sleep(15.0)  # RabbitMQ 3.10 forgets the leader of a queue that is younger than this
            ids = await accept(outbox, *(new() for _ in range(3000)))
            await until(lambda: outbox.totals.jobs.get(JobState.QUEUED, 0) > 0)
            broker_node.kill()
            broker_node.start()
            await until(all_queued(outbox, 3000))
        got = await asyncio.to_thread(take, broker, Power.NORMAL)
        assert {m.properties["correlation_id"] for m in got} == set(ids)

    run(main())


def test_a_queue_that_vanished_is_made_again(broker: BrokerConfig, make_config: MakeConfig) -> None:
    """A confirmed but unroutable message comes back as returned, and is sent again after the queue is declared."""

    async def main() -> None:
        async with running(make_config(broker)) as outbox:
            await until(lambda: outbox.link.state is BrokerLinkState.UP)
            with broker_module.open_channel(broker) as channel:
                channel.queue_delete("edge.normal")
            (job_id,) = await accept(outbox, new())
            await until(all_queued(outbox, 1))
        (message,) = await asyncio.to_thread(take, broker, Power.NORMAL)
        assert message.properties["correlation_id"] == job_id

    run(main())


def test_a_key_brings_the_same_job_also_when_sent_at_once(broker: BrokerConfig, make_config: MakeConfig) -> None:
    """Twenty concurrent submits with one key make one job and one message; another body is refused."""

    async def main() -> None:
        async with running(make_config(broker)) as outbox:
            answers = await asyncio.gather(*(outbox.accept([new("k", fingerprint=b"x")]) for _ in range(20)))
            accepted = [answer for (answer,) in answers if isinstance(answer, Accepted)]
            assert len(accepted) == 20
            assert sum(answer.created for answer in accepted) == 1
            (refused,) = await outbox.accept([new("k", fingerprint=b"y")])
            assert isinstance(refused, KeyReused)
            await until(all_queued(outbox, 1))
        assert len(await asyncio.to_thread(take, broker, Power.NORMAL)) == 1

    run(main())


def test_a_failed_attempt_is_published_again_with_its_count(
    broker: BrokerConfig, make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second message has the number of failed attempts, and the back-off survives a restart of the gateway."""
    monkeypatch.setattr("edge.gateway.background.outbox.RETRY", Backoff(first_s=0.2, most_s=3600.0))

    async def main() -> None:
        config = make_config(broker)
        async with running(config) as outbox:
            (job_id,) = await accept(outbox, new())
            await until(all_queued(outbox, 1))
            await outbox.retry(job_id, failures=1, message="boom")
            await outbox.retry(job_id, failures=1, message="boom")
        async with running(config) as outbox:
            await until(all_queued(outbox, 1))
        got = await asyncio.to_thread(take, broker, Power.NORMAL)
        assert [m.properties["application_headers"]["edge"]["failures"] for m in got] == [0, 1]

    run(main())


def test_a_retry_that_the_disk_refused_to_note_comes_all_the_same(
    broker: BrokerConfig, make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A retry is published although the disk refused to note it, because nothing else would publish it."""
    monkeypatch.setattr("edge.gateway.background.outbox.RETRY", Backoff(first_s=0.1, most_s=3600.0))
    monkeypatch.setattr("edge.gateway.background.outbox._AGAIN_S", 0.1)
    refusals = iter([StorageError("ledger", OSError(28, "No space left on device"))] * 2)
    mark_due = LedgerWriter.mark_due

    def refused(self: LedgerWriter, job_ids: Iterable[str]) -> None:
        for refusal in refusals:
            raise refusal
        mark_due(self, job_ids)

    monkeypatch.setattr(LedgerWriter, "mark_due", refused)

    async def main() -> None:
        async with running(make_config(broker)) as outbox:
            (job_id,) = await accept(outbox, new())
            await until(all_queued(outbox, 1))
            await outbox.retry(job_id, failures=1, message="boom")
            await until(lambda: outbox.reader.get(job_id).message_key[1] == 1 and all_queued(outbox, 1)())
        assert len(await asyncio.to_thread(take, broker, Power.NORMAL)) == 2

    run(main())


def test_a_broker_that_refuses_every_job_is_asked_ever_more_seldom(
    broker: BrokerConfig, broker_node: PrivateNode, make_config: MakeConfig
) -> None:
    """A broker that accepts connections and refuses every job is tried less and less often."""

    async def main() -> None:
        downs: list[float] = []

        def changed(link: BrokerLink) -> None:
            if link.state is BrokerLinkState.DOWN:
                downs.append(time.monotonic())

        config = make_config(broker)
        config.layout.root.mkdir(exist_ok=True)
        outbox = Outbox(config, changed=changed)
        outbox.start()
        try:
            await until(lambda: outbox.link.state is BrokerLinkState.UP)
            await asyncio.to_thread(ctl, broker_node, "set_policy", "full", "^edge.normal$", '{"max-length": 1}')
            await accept(outbox, *(new() for _ in range(5)))
            # A quorum queue notices late that it is full, so it may take some of these.
            await until(lambda: bool(downs) or all_queued(outbox, 5)())
            await accept(outbox, *(new() for _ in range(5)))
            await until(lambda: any(after - before >= 2.0 for before, after in pairwise(downs)))
            await asyncio.to_thread(ctl, broker_node, "clear_policy", "full")
            await until(all_queued(outbox, 10))
        finally:
            await outbox.stop()

    run(main())


def test_limits_and_removed_jobs_are_refused_one_by_one(broker: BrokerConfig, make_config: MakeConfig) -> None:
    """Each job of a batch has its own answer, and good jobs are accepted."""

    async def main() -> None:
        config = make_config(broker, gateway={"max_open_jobs": 2})
        Results(config.layout).remove(derived_job_id("me", "old"))
        async with running(config) as outbox:
            answers = await outbox.accept([new("old"), new("a"), new("b"), new("c"), new("a")])
        kinds = [type(answer) for answer in answers]
        assert kinds == [JobGone, Accepted, Accepted, TooManyJobs, Accepted]
        assert all(str(answer) for answer in answers if isinstance(answer, EdgeError))

    run(main())


def test_a_ledger_that_cannot_be_read_for_a_while_is_read_again(
    broker: BrokerConfig, make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After failed reads of the ledger the job is published without another submit."""
    unpublished, refused = LedgerReader.unpublished, 0

    def failing(self: LedgerReader, *, after_seq: int, limit: int) -> list[JobRow]:
        nonlocal refused
        if refused < 3:
            refused += 1
            raise StorageError("ledger", OSError(5, "Input/output error"))
        return unpublished(self, after_seq=after_seq, limit=limit)

    async def main() -> None:
        async with running(make_config(broker)) as outbox:
            await until(lambda: outbox.link.state is BrokerLinkState.UP)
            monkeypatch.setattr(LedgerReader, "unpublished", failing)
            await accept(outbox, new())
            await until(all_queued(outbox, 1))
            assert refused == 3

    run(main())


def test_a_stopped_outbox_leaves_no_descriptor_open(broker: BrokerConfig, make_config: MakeConfig) -> None:
    """A stopped outbox closes its wake-ups and the files of the ledger; a late wake-up does no harm."""

    async def main() -> None:
        config = make_config(broker)
        async with running(config):
            pass  # so that files that a process opens once are open now
        before = {path.name for path in Path("/proc/self/fd").iterdir()}
        async with running(config) as outbox:
            await until(lambda: outbox.link.state is BrokerLinkState.UP)
        outbox._publisher.wake()
        outbox._publisher.stop()
        assert {path.name for path in Path("/proc/self/fd").iterdir()} == before
        assert not config.layout.ledger.with_name("ledger.sqlite-wal").exists()

    run(main())


def test_an_alarm_of_the_broker_holds_jobs_in_the_ledger(
    broker: BrokerConfig, broker_node: PrivateNode, make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under a memory alarm jobs are accepted and the link is blocked; they are published when the alarm clears.

    Confirms of messages on their way are awaited over the same connection, without wake-ups, however long it takes.
    """
    monkeypatch.setattr("edge.broker.session.CONFIRM_S", 3.0)

    async def main() -> None:
        async with running(make_config(broker)) as outbox:
            await until(lambda: outbox.link.state is BrokerLinkState.UP)
            await asyncio.to_thread(ctl, broker_node, "set_vm_memory_high_watermark", "absolute", "1MB")
            await accept(outbox, *(new() for _ in range(5)))
            await until(lambda: outbox.link.state is BrokerLinkState.BLOCKED)
            (late,) = await accept(outbox, new())
            await asyncio.sleep(3.5)  # longer than the usual limit for a confirm
            before = time.process_time()
            await asyncio.sleep(1.0)  # this time is part of the test
            assert time.process_time() - before < 0.5
            await asyncio.to_thread(ctl, broker_node, "set_vm_memory_high_watermark", "absolute", "200MB")
            await until(all_queued(outbox, 6))
            assert outbox.reader.get(late).state is JobState.QUEUED
            assert outbox.link.state is BrokerLinkState.UP

    run(main())


def test_depths_counts_and_names_an_unreachable_broker(broker: BrokerConfig, config: Config) -> None:
    """Counts are by queue; an unreachable broker is one line with its address."""
    assert broker_module.depths(broker) == {"edge.always": 0, "edge.normal": 0, "edge.surplus": 0, "edge.dead": 0}
    with pytest.raises(BrokerError, match=rf"broker at 127\.0\.0\.1:{config.broker.port}: nothing listens there"):
        broker_module.depths(config.broker)


def test_backoff_doubles_up_to_an_hour() -> None:
    """The back-off is 5, 10, 20 ... 3600 seconds, for any count."""
    assert [RETRY.pause_s(n) for n in (1, 2, 3)] == [5, 10, 20]
    assert RETRY.pause_s(11) == 3600
    assert RETRY.pause_s(10_000) == 3600


def test_a_broker_with_a_new_store_gets_every_open_job_again(broker_node: PrivateNode, make_config: MakeConfig) -> None:
    """With a new store, all jobs that the ledger thought to be in the broker are published again."""

    async def main() -> None:
        config = make_config(broker_node.config)
        async with running(config) as outbox:
            await accept(outbox, new(), new(), new(power=Power.SURPLUS))
            await until(all_queued(outbox, 3))
        broker_node.stop()
        shutil.rmtree(broker_node.store)
        broker_node.start()
        async with running(config) as outbox:
            await until(lambda: sum(broker_module.depths(config.broker).values()) == 3)
            await until(all_queued(outbox, 3))
        async with running(config) as outbox:
            await until(lambda: outbox.link.state is BrokerLinkState.UP)
        assert sum(broker_module.depths(config.broker).values()) == 3, "published again for no reason"
        assert rebuild.notes(config.root) == []

    run(main())


def test_a_ledger_that_is_gone_with_all_other_files_is_reported(broker: BrokerConfig, make_config: MakeConfig) -> None:
    """A missing ledger is reported once, because the broker's store shows that there was one."""

    async def main() -> None:
        config = make_config(broker)
        async with running(config) as outbox:
            await until(lambda: outbox.link.state is BrokerLinkState.UP)
        assert rebuild.notes(config.root) == []
        config.root.rename(config.root.with_name("the other card"))
        for _ in range(2):
            async with running(config) as outbox:
                await until(lambda: outbox.link.state is BrokerLinkState.UP)
            ((_, why),) = rebuild.notes(config.root)
            assert "the broker had served one before" in why

    run(main())


def test_a_surplus_job_whose_deadline_came_is_published_for_normal_power(
    broker: BrokerConfig, make_config: MakeConfig
) -> None:
    """At its deadline a surplus job is published for normal power too; a restart or a clock in the past keeps it."""

    async def main() -> None:
        config = make_config(broker)
        async with running(config) as outbox:
            await until(lambda: outbox.link.state is BrokerLinkState.UP)  # each job is published before its deadline
            soon = msgspec.structs.replace(new(power=Power.SURPLUS), deadline_s=2.0)
            late = msgspec.structs.replace(new(power=Power.SURPLUS), deadline_s=3600.0)
            ids = await accept(outbox, soon, late)
            await until(lambda: outbox.reader.get(ids[0]).power is Power.NORMAL)
            await until(all_queued(outbox, 2))
            got = await asyncio.to_thread(take, broker, Power.NORMAL)
            assert [m.properties["correlation_id"] for m in got] == ids[:1]
            got = await asyncio.to_thread(take, broker, Power.SURPLUS)
            assert [m.properties["correlation_id"] for m in got] == ids
            unset = "UPDATE job SET accepted_at = 60, deadline_s = 0.5 WHERE id = ?"
            await outbox.write(lambda ledger: ledger.connection._db.execute(unset, (ids[1],)), durable=True)
        async with running(config) as outbox:
            await until(lambda: outbox.reader.get(ids[1]).power is Power.NORMAL)
            await until(all_queued(outbox, 2))

    run(main())


def test_a_deadline_that_the_disk_refused_to_note_comes_all_the_same(
    broker: BrokerConfig, make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A deadline is handled although the disk refused to note it; otherwise the job would wait until a restart."""
    monkeypatch.setattr("edge.gateway.background.outbox._AGAIN_S", 0.1)
    refusals = iter([StorageError("ledger", OSError(28, "No space left on device"))] * 2)
    hurry = LedgerWriter.hurry

    def refused(self: LedgerWriter, job_ids: Iterable[str]) -> None:
        for refusal in refusals:
            raise refusal
        hurry(self, job_ids)

    monkeypatch.setattr(LedgerWriter, "hurry", refused)

    async def main() -> None:
        async with running(make_config(broker)) as outbox:
            soon = msgspec.structs.replace(new(power=Power.SURPLUS), deadline_s=0.2)
            (job_id,) = await accept(outbox, soon)
            await until(lambda: outbox.reader.get(job_id).power is Power.NORMAL)
            await until(all_queued(outbox, 1))
        (message,) = await asyncio.to_thread(take, broker, Power.NORMAL)
        assert message.properties["correlation_id"] == job_id

    run(main())


def lost(config: Config) -> None:
    """Remove the messages, as a full disk does to a store of RabbitMQ."""
    with broker_module.open_channel(config.broker) as channel:
        channel.queue_purge(broker_module.queue_name(Power.NORMAL))


async def there_again(config: Config, count: int) -> None:
    """Return once the queue has `count` messages."""
    name = broker_module.queue_name(Power.NORMAL)
    await until(lambda: broker_module.depths(config.broker)[name] == count)


def test_what_a_broker_may_have_lost_is_published_again(
    broker: BrokerConfig, broker_node: PrivateNode, make_config: MakeConfig
) -> None:
    """Jobs are published again after a fault of the shared disk or a requested restart, and after no other restart."""
    config = make_config(broker)

    async def main() -> None:
        async with running(config) as outbox:
            await accept(outbox, new(), new(), new())
            await until(all_queued(outbox, 3))
            lost(config)
            assert await outbox.prove() == 3
            await there_again(config, 3)
            await until(all_queued(outbox, 3))
            for answer, left in (("", 0), ("once", 3)):
                lost(config)
                if answer:
                    config.layout.run.mkdir(exist_ok=True)
                    config.layout.broker_restarted.write_text(answer)
                broker_node.stop()
                await until(lambda: outbox.link.state is BrokerLinkState.DOWN)
                broker_node.start()  # in the main thread: the kernel kills the broker with the thread that started it
                await until(lambda: outbox.link.state is BrokerLinkState.UP)
                await there_again(config, left)

    run(main())


def test_a_job_that_rotted_in_the_ledger_keeps_no_other_from_the_broker(
    broker: BrokerConfig, make_config: MakeConfig, caplog: pytest.LogCaptureFixture
) -> None:
    """A row that a flipped bit has damaged does not keep other jobs from the broker."""

    async def main() -> None:
        config = make_config(broker)
        config.layout.root.mkdir()
        with LedgerWriter.open(config.layout.ledger) as ledger, ledger.transaction(durable=True):
            rotten, sound = (ledger.add(new(), now=1.0).job.id for _ in range(2))
            ledger.connection._db.execute("UPDATE job SET arguments = x'5b5b31ff' WHERE id = ?", (rotten,))
        async with running(config) as outbox:
            await until(all_queued(outbox, 1))
            assert outbox.reader.get(sound).state is JobState.QUEUED
        assert f"job {rotten} " in caplog.text

    run(main())


def test_a_broker_that_lets_nobody_in_has_to_be_started_again(
    broker: BrokerConfig, broker_node: PrivateNode, make_config: MakeConfig
) -> None:
    """A broker whose virtual host is down is restarted on request, because waiting does not help."""
    config = make_config(broker)

    async def main() -> None:
        async with running(config) as outbox:
            await until(lambda: outbox.link.state is BrokerLinkState.UP)
            await asyncio.to_thread(ctl, broker_node, "eval", VHOST_DOWN)
            await until((config.layout.complaints / "gateway").exists)
            with pytest.raises(QueueSilent, match="is down"):
                await asyncio.to_thread(broker_module.check_queues, broker, timeout_s=20.0)

    try:
        run(main())
    finally:
        broker_node.stop()  # so that the next test gets a new store
