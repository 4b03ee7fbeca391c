"""Power changes in any order: no job starts against it, none is lost, none is stuck."""

from __future__ import annotations

import os
import random
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from kombu import Connection, Producer

from edge.broker import topology
from edge.config import BrokerConfig, Config
from edge.model import ALLOWED, Pool, Power, PowerState, Reading, WorkerState
from edge.results.orders import Order, Orders
from edge.up.broker.node import PrivateNode
from edge.worker.intake.pace import MANY
from tests.conftest import MakeConfig
from tests.running_worker import RunningWorker, StartWorker, depth, publish, report_power, until

pytestmark = [pytest.mark.broker, pytest.mark.timeout(300)]

SEED = 20_240_621
SEQUENCES = 200
WINDOWS = int(os.environ.get("EDGE_WINDOWS", "8"))  # `make windows` uses 1,000
#: At `critical` a worker with a job ends, which other tests check, so it is not here.
STATES = (PowerState.SURPLUS, PowerState.NORMAL, PowerState.LOW, PowerState.UNKNOWN, PowerState.PAUSED)

STAMPS = '''
import os, time
from pathlib import Path
from edge.worker import task
from edge.worker import Job

@task
def stamp(klass: str, seconds: float, job: Job) -> str:
    """Say when this body began, then ask now and then whether it may go on."""
    line = f"{job.id} {klass} {time.monotonic()}\\n".encode()
    fd = os.open(job.settings["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(fd, line)
    os.close(fd)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(0.002)
        job.check()
    return klass
'''


@pytest.fixture
def stamping(broker: BrokerConfig, make_config: MakeConfig, tmp_path: Path) -> Config:
    """A configuration with the stamping task, and paused power."""
    (tmp_path / "stamping.py").write_text(STAMPS)
    settings = {"stamp": {"log": str(tmp_path / "starts")}}
    config = make_config(broker=broker, tasks=["stamping", "odd"], settings=settings)
    report_power(config, PowerState.PAUSED)
    return config


@dataclass
class Start:
    """A body that began."""

    job_id: str
    klass: Power
    at: float


@dataclass
class Report:
    """A reported power state: the times between which the worker may learn it, and when the worker confirmed it."""

    state: PowerState
    before: float
    after: float
    confirmed: float | None = None
    running: frozenset[str] = frozenset()  # jobs that the worker reported as running at that time


@dataclass
class Play:
    """The reports to one worker so far, and the checks of its starts."""

    config: Config
    worker: RunningWorker
    reports: list[Report] = field(default_factory=list)
    jobs: list[str] = field(default_factory=list)
    pool: Pool = Pool.MAIN

    def report(self, state: PowerState) -> Report:
        """Report a power state."""
        before = time.monotonic()
        report_power(self.config, state)
        self.reports.append(Report(state, before, time.monotonic()))
        return self.reports[-1]

    def confirm(self, report: Report) -> None:
        """Wait until the worker reports exactly the queues that the state allows."""
        wanted = {topology.queue_name(klass, pool=self.pool) for klass in ALLOWED[report.state]}
        wanted |= {topology.DEAD_NAME} if wanted else set()

        def there() -> bool:
            status = self.worker.status
            if status is None or status.power is not report.state or set(status.queues) != wanted:
                return False
            report.running = frozenset(job.id for job in status.running)
            return True

        until(there, lambda: f"{report.state} confirmed in {self.worker.status}; log:\n{self.worker.log_tail()}")
        report.confirmed = time.monotonic()

    def starts(self) -> list[Start]:
        """Return every body that began."""
        path = Path(self.config.settings["stamp"]["log"])
        lines = path.read_text().splitlines() if path.exists() else []
        rows = [line.split() for line in lines]
        return [Start(job_id, Power(klass), float(at)) for job_id, klass, at in rows]


def feed(link: Connection, config: Config, klass: Power, seconds: float, *, pool: Pool = Pool.MAIN) -> str:
    """Publish one stamping job over an open connection."""
    job_id = str(uuid.uuid4())
    body = [[klass.value, seconds], {}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}]
    headers = {"lang": "py", "task": "stamp", "id": job_id, "root_id": job_id, "eta": None, "expires": None}
    Producer(link.default_channel).publish(
        body,
        exchange="",
        routing_key=topology.queue_name(klass, pool=pool),
        headers=headers,
        serializer="json",
        delivery_mode=2,
    )
    return job_id


def wrong_starts(reports: list[Report], starts: list[Start], *, running: bool = False) -> list[str]:
    """Return bodies that began although power forbids it: after a fall is confirmed, or more than one before that.

    With `running`, bodies that the worker reported as running at the confirmation do not count.
    """
    found = []
    for report, following in zip(reports, [*reports[1:], None], strict=True):
        end = following.before if following else time.monotonic()
        against = [s for s in starts if report.after < s.at < end and s.klass not in ALLOWED[report.state]]
        if len(against) > 1:
            found.append(f"{len(against)} starts after {report}: {against}")
        late = [s for s in against if report.confirmed and s.at > report.confirmed]
        late = [s for s in late if not (running and s.job_id in report.running)]
        found += [f"{s} after the confirmation of {report}" for s in late]
    return found


def test_two_hundred_random_sequences_of_power(
    stamping: Config, broker: BrokerConfig, start_worker: StartWorker
) -> None:
    """No body begins after a confirmed fall, and at most one between fall and confirmation; each job ends, once."""
    chance = random.Random(SEED)
    play = Play(stamping, start_worker(stamping))
    play.worker.until_state(WorkerState.PAUSED)
    with topology.connection(broker, confirm=True, timeout_s=20.0) as link:
        topology.declare(link.default_channel)
        for _ in range(SEQUENCES):
            for _ in range(chance.randint(1, 5)):
                for _ in range(chance.choice((0, 0, 0, 1, 2))):
                    job = feed(link, stamping, chance.choice(tuple(Power)), chance.choice((0, 0.005, 0.02)))
                    play.jobs.append(job)
                report = play.report(chance.choice(STATES))
                if chance.random() < 0.3:
                    play.confirm(report)
                else:
                    time.sleep(chance.choice((0, 0.002, 0.01, 0.03)))  # power may change at any time
    play.confirm(play.report(PowerState.SURPLUS))
    until(lambda: all(map(play.worker.results.has, play.jobs)), "a result of every job", patience_s=60)
    starts = play.starts()
    assert wrong_starts(play.reports, starts) == []
    assert sorted(s.job_id for s in starts) == sorted(play.jobs)
    assert [depth(broker, klass) for klass in Power] == [0, 0, 0]
    assert len(play.jobs) > 200
    assert "Traceback" not in play.worker.log_tail()


@pytest.mark.timeout(300 + 5 * WINDOWS)
def test_random_power_on_a_full_window(stamping: Config, broker: BrokerConfig, start_worker: StartWorker) -> None:
    """Power falls while a window is full of short jobs: no wrong start, and jobs that went back run once."""
    chance = random.Random(int(os.environ.get("EDGE_WINDOW_SEED", SEED)))
    play = Play(stamping, start_worker(stamping))
    play.worker.until_state(WorkerState.PAUSED)
    with topology.connection(broker, confirm=True, timeout_s=20.0) as link:
        topology.declare(link.default_channel)
        for _ in range(WINDOWS):
            play.confirm(play.report(PowerState.PAUSED))
            for klass in Power:
                play.jobs += [feed(link, stamping, klass, 0.0) for _ in range(chance.choice((0, MANY, MANY + 20)))]
            for _ in range(chance.randint(2, 6)):
                report = play.report(chance.choice(STATES))
                if chance.random() < 0.3:
                    play.confirm(report)
                else:
                    time.sleep(chance.choice((0, 0.002, 0.01, 0.03)))
            play.confirm(play.report(PowerState.SURPLUS))
            until(lambda: all(map(play.worker.results.has, play.jobs[-3 * (MANY + 20) :])), play.worker.log_tail)
    starts = play.starts()
    assert wrong_starts(play.reports, starts) == []
    assert sorted(s.job_id for s in starts) == sorted(play.jobs)
    assert {result.attempts for job in play.jobs if (result := play.worker.results.read(job))} == {1}
    assert [depth(broker, klass) for klass in Power] == [0, 0, 0]
    assert len(play.jobs) > WINDOWS * MANY
    assert "Traceback" not in play.worker.log_tail()


@pytest.mark.timeout(300 + 5 * WINDOWS)
def test_random_power_on_a_worker_of_threads(
    broker: BrokerConfig, make_config: MakeConfig, start_worker: StartWorker, tmp_path: Path
) -> None:
    """No job is handed to a thread after a confirmed fall; each begins once. A returned message is not an attempt."""
    (tmp_path / "stamping.py").write_text(STAMPS.replace("@task\n", '@task(pool="io")\n'))
    config = make_config(
        broker=broker,
        tasks=["stamping"],
        settings={"stamp": {"log": str(tmp_path / "starts")}},
        worker={"name": "io"},
        workers=[{"name": "io", "pool": "threads", "concurrency": 16}],
    )
    report_power(config, PowerState.PAUSED)
    chance = random.Random(int(os.environ.get("EDGE_WINDOW_SEED", SEED)))
    play = Play(config, start_worker(config), pool=Pool.IO)
    play.worker.until_state(WorkerState.PAUSED)
    with topology.connection(broker, confirm=True, timeout_s=20.0) as link:
        topology.declare(link.default_channel, more=[topology.queue_name(klass, pool=Pool.IO) for klass in Power])
        for _ in range(WINDOWS):
            play.confirm(play.report(PowerState.PAUSED))
            for klass in Power:
                seconds = [chance.choice((0.0, 0.0, 0.02)) for _ in range(chance.choice((0, 10, 40)))]
                play.jobs += [feed(link, config, klass, each, pool=Pool.IO) for each in seconds]
            for _ in range(chance.randint(2, 6)):
                report = play.report(chance.choice(STATES))
                if chance.random() < 0.3:
                    play.confirm(report)
                else:
                    time.sleep(chance.choice((0, 0.002, 0.01, 0.03)))
            play.confirm(play.report(PowerState.SURPLUS))
            until(lambda: all(map(play.worker.results.has, play.jobs[-120:])), play.worker.log_tail)
    starts = play.starts()
    # A thread that has a job at the fall may record its begin a little later, and its worker counts it as running.
    found = [text for text in wrong_starts(play.reports, starts, running=True) if "confirmation" in text]
    assert found == []
    assert sorted(s.job_id for s in starts) == sorted(play.jobs)
    assert {result.attempts for job in play.jobs if (result := play.worker.results.read(job))} == {1}
    assert "Traceback" not in play.worker.log_tail()


def test_power_falls_while_idle(stamping: Config, broker: BrokerConfig, start_worker: StartWorker) -> None:
    """The fall is confirmed, and later messages wait in their queue."""
    play = Play(stamping, start_worker(stamping))
    play.confirm(play.report(PowerState.NORMAL))
    play.confirm(play.report(PowerState.LOW))
    job_id = publish(broker, "echo", "x")
    assert play.worker.result(publish(broker, "small", "y", power=Power.ALWAYS)).value == "y"
    assert depth(broker) == 1
    assert not play.worker.results.has(job_id)
    play.report(PowerState.NORMAL)
    assert play.worker.result(job_id).value == "x"


def test_power_falls_between_two_jobs(stamping: Config, broker: BrokerConfig, start_worker: StartWorker) -> None:
    """Ten jobs wait when the first ends after a fall: at most one more of them runs."""
    play = Play(stamping, start_worker(stamping))
    play.confirm(play.report(PowerState.PAUSED))
    with topology.connection(broker, confirm=True, timeout_s=20.0) as link:
        topology.declare(link.default_channel)
        play.jobs = [feed(link, stamping, Power.NORMAL, 0.0) for _ in range(10)]
    play.report(PowerState.NORMAL)
    until(play.starts, "a first start")
    low = play.report(PowerState.LOW)
    play.confirm(low)
    begun = len(play.starts())
    assert wrong_starts(play.reports, play.starts()) == []
    until(lambda: sum(map(play.worker.results.has, play.jobs)) + depth(broker) == 10, "all accounted for")
    assert len(play.starts()) == begun
    play.report(PowerState.NORMAL)
    until(lambda: all(map(play.worker.results.has, play.jobs)), "a result of every job")


@pytest.mark.parametrize("when", ["during the outage", "during the reconnect"])
def test_power_falls_while_the_broker_is_away(
    stamping: Config, broker: BrokerConfig, broker_node: PrivateNode, start_worker: StartWorker, when: str
) -> None:
    """A new connection opens the queues that power allows then, not earlier ones."""
    play = Play(stamping, start_worker(stamping))
    play.confirm(play.report(PowerState.SURPLUS))
    play.report(PowerState.PAUSED)
    job_id = publish(broker, "stamp", "normal", 0)
    broker_node.stop()
    play.worker.until_state(WorkerState.DISCONNECTED)
    play.report(PowerState.NORMAL)
    if when == "during the outage":
        report = play.report(PowerState.LOW)
        broker_node.start()
    else:
        broker_node.start()  # it returns once the broker answers, while the worker reconnects
        report = play.report(PowerState.LOW)
    play.confirm(report)
    began = len(play.starts())
    assert began <= (when == "during the reconnect")
    if not began:
        assert depth(broker) == 1
    play.confirm(play.report(PowerState.NORMAL))
    assert play.worker.result(job_id).value == "normal"
    assert len(play.starts()) == 1


def test_a_job_too_hot_to_begin_is_parked_and_blocks_its_class_only(
    stamping: Config, broker: BrokerConfig, start_worker: StartWorker
) -> None:
    """A job too hot to begin is parked with a reason, and runs when cooler, or is cancelled; later heat holds it."""
    hot, cool = ((Reading("soc", "temperature", celsius, "C"),) for celsius in (75.0, 60.0))
    play = Play(stamping, start_worker(stamping))
    report_power(stamping, PowerState.NORMAL, readings=hot)
    play.worker.until_state(WorkerState.IDLE)
    first = publish(broker, "stamp", "normal", 0.3, edge={"max_temp_c": 70})
    parked = until(lambda: (s := play.worker.status) and s.parked, "a parked job")[0]
    assert (parked.id, parked.why.reason) == (first, "the board is at 75 °C, the job allows 70 °C")
    assert play.worker.result(publish(broker, "small", "y", power=Power.ALWAYS)).value == "y"
    assert not play.starts()
    report_power(stamping, PowerState.NORMAL, readings=cool)
    until(play.starts, "the start")
    report_power(stamping, PowerState.NORMAL, readings=hot)
    assert "75 °C" in play.worker.until_state(WorkerState.HELD).job.held.reason  # type: ignore[union-attr]
    report_power(stamping, PowerState.NORMAL, readings=cool)
    assert play.worker.result(first).attempts == 1
    assert play.worker.status is not None
    assert play.worker.status.parked == ()
    report_power(stamping, PowerState.NORMAL, readings=hot)
    second = publish(broker, "stamp", "normal", 0, edge={"max_temp_c": 70})
    until(lambda: (s := play.worker.status) and s.parked, "a parked job")
    Orders(stamping.layout).give(Order.CANCEL, second)
    until(lambda: (s := play.worker.status) and not s.parked, "the cancelled job gone")
    third = publish(broker, "stamp", "normal", 0, edge={"max_temp_c": 70})
    until(lambda: (s := play.worker.status) and s.parked, "a parked job")
    report_power(stamping, PowerState.LOW, readings=hot)
    until(lambda: depth(broker) == 1, "given back")
    report_power(stamping, PowerState.NORMAL)
    assert play.worker.result(third).attempts == 1
    assert len(play.starts()) == 2
