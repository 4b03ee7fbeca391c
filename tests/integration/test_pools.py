"""Queues of pools and of workers on a real broker: publishing, reading, and moving of messages."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from amqp.exceptions import AccessRefused

from edge.broker import abandoned, topology
from edge.broker.routes import Routes
from edge.catalog.catalogue import Catalogue, TaskInfo
from edge.cli.board.checks import parts
from edge.config import BrokerConfig, Config, load
from edge.core.errors import BrokerError
from edge.gateway.background.outbox import Outbox
from edge.ledger.rows import NewJob
from edge.model import JobState, KnownQueues, Pool, Power, WorkerState, new_job_id
from edge.up.broker.node import PrivateNode
from tests.conftest import MakeConfig
from tests.integration.test_outbox import accept, ctl, until
from tests.running_worker import StartWorker, publish, report_power

pytestmark = pytest.mark.broker

RIGHTS = yaml.safe_load((Path(__file__).parents[2] / "ansible/roles/rabbitmq/vars/main.yml").read_text())
NORMAL, IO, OWN = "edge.normal", "edge.io.normal", "edge.only.own.normal"


def fetch() -> NewJob:
    return NewJob(new_job_id(), "fetch", [], {}, Power.NORMAL, 0, None, "me", b"", "")


def catalogue(pool: Pool, **errors: str) -> Catalogue:
    """Make a catalogue of one kind of job of this pool, or with `errors`, one that could not be read."""
    return Catalogue({} if errors else {"fetch": TaskInfo("fetch", pool=pool)}, errors)


@asynccontextmanager
async def gateway(config: Config, *catalogues: Catalogue) -> AsyncIterator[Outbox]:
    """Run the publishing part of the gateway, after it has read these catalogues."""
    config.layout.root.mkdir(exist_ok=True)
    outbox = Outbox(config)
    outbox.start()
    moving = asyncio.create_task(outbox.routing.run())
    for each in catalogues:
        await asyncio.to_thread(outbox.routing.learn, each)
    try:
        yield outbox
    finally:
        moving.cancel()
        await outbox.stop()


def ids(broker: BrokerConfig, queue: str) -> list[str]:
    """Take all messages of a queue, and return their job ids."""
    found = []
    with topology.open_channel(broker) as channel:
        topology.declare(channel, more=[queue])
        while (message := channel.basic_get(queue, no_ack=True)) is not None:
            found.append(str((message.headers or {})["id"]))
    return found


def depth(broker: BrokerConfig, queue: str) -> Callable[[int], bool]:
    return lambda count: topology.depths(broker, more=[queue])[queue] == count


async def holds(broker: BrokerConfig, queue: str, count: int) -> None:
    """Return once the queue has `count` messages."""
    await until(lambda: depth(broker, queue)(count))


def test_a_kind_of_the_pool_io_goes_to_its_queue(broker: BrokerConfig, make_config: MakeConfig) -> None:
    """The gateway declares the queue at once, because a node may not; a board without such a kind has none."""
    config = make_config(broker)

    async def main() -> list[str]:
        async with gateway(config, catalogue(Pool.MAIN)) as outbox:
            await holds(broker, NORMAL, 0)
            assert not (await asyncio.to_thread(there, broker, IO))
            await asyncio.to_thread(outbox.routing.learn, catalogue(Pool.IO))
            await until(lambda: there(broker, IO))
            sent = await accept(outbox, fetch(), fetch())
            await holds(broker, IO, 2)
            return sent

    sent = asyncio.run(main())
    assert ids(broker, IO) == sent
    assert ids(broker, NORMAL) == []


def there(broker: BrokerConfig, queue: str) -> bool:
    try:
        with topology.open_channel(broker) as channel:
            channel.queue_declare(queue=queue, passive=True)
    except BrokerError as err:
        if "NOT_FOUND" not in str(err):
            raise
        return False
    return True


def test_jobs_of_before_a_restart_need_no_catalogue(broker: BrokerConfig, make_config: MakeConfig) -> None:
    """After a restart jobs go to their old queue before the catalogue is read, also if a module cannot be imported."""
    config = make_config(broker)

    async def main() -> list[str]:
        async with gateway(config, catalogue(Pool.IO)):
            pass
        async with gateway(config) as outbox:
            first = await accept(outbox, fetch())
            await holds(broker, IO, 1)
            await asyncio.to_thread(outbox.routing.learn, catalogue(Pool.IO, kinds="SyntaxError"))
            second = await accept(outbox, fetch())
            await holds(broker, IO, 2)
            return first + second

    sent = asyncio.run(main())
    assert ids(broker, IO) == sent


def test_a_kind_that_changes_its_pool_takes_its_jobs_along(broker: BrokerConfig, make_config: MakeConfig) -> None:
    """When a kind changes its pool, its messages are moved once, also those of a Celery client."""
    config = make_config(broker)

    async def main() -> set[str]:
        async with gateway(config, catalogue(Pool.IO)) as outbox:
            sent = set(await accept(outbox, *(fetch() for _ in range(20))))
            await holds(broker, IO, 20)
            sent.add(await asyncio.to_thread(publish, broker, "fetch", queue=IO))
            await asyncio.to_thread(outbox.routing.learn, catalogue(Pool.MAIN))
            await holds(broker, NORMAL, 21)
            await holds(broker, IO, 0)
            return sent

    sent = asyncio.run(main())
    found = ids(broker, NORMAL)
    assert len(found) == len(sent)
    assert set(found) == sent


def test_a_worker_that_left_the_configuration_leaves_its_jobs(broker: BrokerConfig, make_config: MakeConfig) -> None:
    """When a worker is removed from the configuration, the next gateway moves its jobs to the other workers."""
    before = make_config(broker, workers=[{"name": "main"}, {"name": "own", "kinds": ["fetch"]}])
    after = msgspec.structs.replace(before, workers=())

    async def main() -> list[str]:
        async with gateway(before, catalogue(Pool.MAIN)) as outbox:
            sent = await accept(outbox, fetch(), fetch())
            await holds(broker, OWN, 2)
        assert OWN in KnownQueues.read(after.layout.queues).queues
        async with gateway(after, catalogue(Pool.MAIN)):
            await holds(broker, NORMAL, 2)
        return sent

    sent = asyncio.run(main())
    assert ids(broker, OWN) == []
    assert ids(broker, NORMAL) == sent


def test_a_move_that_is_cut_off_loses_nothing(
    broker: BrokerConfig, make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An interrupted move may copy a message but loses none: each is acknowledged only after its copy is safe."""
    config = make_config(broker)
    for number in range(3):
        with topology.open_channel(broker) as channel:
            topology.declare(channel, more=[IO])
        publish(broker, "fetch", queue=IO, job_id=f"job-{number}")
    left = [2]

    class Cut(Exception):
        pass

    def target(message: Any, queue: str, routes: Routes) -> str:
        if not left[0]:
            raise Cut
        left[0] -= 1
        return NORMAL

    monkeypatch.setattr(abandoned, "_target", target)
    with suppress(Cut):
        abandoned.move(config.broker, [IO], Routes())
    monkeypatch.undo()
    abandoned.move(config.broker, [IO], Routes())
    assert sorted(ids(broker, NORMAL)) == ["job-0", "job-1", "job-2"]


@pytest.mark.parametrize(
    ("name", "task", "queue"), [("main", "fetch", NORMAL), ("io", "echo", IO), ("own", "fetch", OWN)]
)
def test_a_job_in_a_queue_of_the_other_pool_runs_where_it_is(
    broker: BrokerConfig,
    make_config: MakeConfig,
    start_worker: StartWorker,
    tmp_path: Path,
    name: str,
    task: str,
    queue: str,
) -> None:
    """A job in a queue of the other pool, old or chosen by a Celery client, runs once in the worker that gets it."""
    (tmp_path / "kinds.py").write_text(
        'from edge.worker import task\n\n\n@task(pool="io")\ndef fetch(text: str) -> str:\n    return text\n'
    )
    workers = [{"name": "main"}, {"name": "io", "pool": "threads"}, {"name": "own", "kinds": ["echo"]}]
    make_config(broker, tasks=["odd", "kinds"], workers=workers)
    config = load(tmp_path / "edge.yaml", {"EDGE_WORKER_NAME": name}).config
    report_power(config, "normal")
    worker = start_worker(config, EDGE_WORKER_NAME=name)
    status = worker.until_state(WorkerState.IDLE)
    assert queue in status.queues
    result = worker.result(publish(broker, task, "hello", queue=queue))
    assert (result.state, result.value, result.worker, result.attempts) == (JobState.SUCCEEDED, "hello", name, 1)


def test_plain_celery_publishes_by_kind(
    broker: BrokerConfig, make_config: MakeConfig, edge_env: dict[str, str], tmp_path: Path
) -> None:
    """`delay` uses the queue of the kind's pool, or of the only worker that takes the kind."""
    (tmp_path / "kinds.py").write_text(
        'from edge.worker import task\n\n\n@task(pool="io")\ndef fetch() -> int:\n    return 1\n\n\n'
        "@task\ndef own() -> int:\n    return 1\n\n\nfetch.delay()\nown.delay()\n"
    )
    make_config(broker, tasks=["kinds"], workers=[{"name": "main"}, {"name": "own", "kinds": ["own"]}])
    subprocess.run([sys.executable, "-c", "import kinds"], env=edge_env, cwd=tmp_path, check=True, timeout=60)
    assert len(ids(broker, IO)) == len(ids(broker, OWN)) == 1


def user(node: PrivateNode, config: BrokerConfig, folder: Path, name: str, *rights: str) -> BrokerConfig:
    """Add a user with these rights to the broker, and return how to reach the broker as this user."""
    with suppress(subprocess.CalledProcessError):  # the user exists already
        ctl(node, "add_user", name, "secret")
    ctl(node, "set_permissions", name, *rights)
    secret = folder / name
    secret.write_text("secret")
    return msgspec.structs.replace(config, user=name, password_file=secret)


def test_the_rights_of_an_appliance_are_enough(
    broker: BrokerConfig, broker_node: PrivateNode, make_config: MakeConfig, tmp_path: Path
) -> None:
    """With its rights the gateway declares queues of pools and moves messages; a node reads only queues of pools."""
    (rights,) = (each for each in RIGHTS["rabbitmq_users"] if each["name"] == "edge-gateway")
    own = user(broker_node, broker, tmp_path, "edge-gateway", rights["configure"], rights["write"], rights["read"])
    topology.depths(broker)  # the definitions of a board declare them
    config = msgspec.structs.replace(make_config(broker), broker=own)

    async def main() -> None:
        async with gateway(config, catalogue(Pool.IO)) as outbox:
            await accept(outbox, fetch())
            await holds(broker, IO, 1)
            await asyncio.to_thread(outbox.routing.learn, catalogue(Pool.MAIN))
            await holds(broker, NORMAL, 1)

    asyncio.run(main())
    with topology.open_channel(broker) as channel:
        topology.declare(channel, more=[OWN])
    node = user(broker_node, broker, tmp_path, "node-one", "^$", "^$", RIGHTS["rabbitmq_node_queues"])
    with topology.open_channel(node) as channel:
        topology.declare(channel, more=[IO], passive=True)
        assert channel.basic_get(IO) is None
        assert channel.basic_get(NORMAL) is not None
    with pytest.raises(BrokerError) as refused, topology.open_channel(node) as channel:
        channel.basic_get(OWN)
    assert isinstance(refused.value.__cause__, AccessRefused)


def test_check_and_doctor_ask_the_queues_of_pools(broker: BrokerConfig) -> None:
    """Check and doctor declare missing queues of pools, and count their messages."""
    topology.check_queues(broker, more=[IO, OWN], timeout_s=20.0)
    publish(broker, "fetch", queue=IO)
    (counted,) = (each for each in parts.broker(broker, more=[IO, OWN]) if each.part == "queues")
    assert f"{IO} 1" in counted.text
    assert f"{OWN} 0" in counted.text
