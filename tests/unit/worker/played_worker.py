"""A worker without its own process. Its parts are real, but broker, power, disk and bodies are played."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import msgspec

from edge.broker.topology import queue_name
from edge.config import Config
from edge.core.wakeup import Wakeup
from edge.model import ALLOWED, Attempts, Energy, Failure, Power, PowerState, PowerStatus, Reading, Result
from edge.results.attempts import AttemptsStore
from edge.results.commit import Written
from edge.results.inputs import Inputs
from edge.results.spawned import SpawnedFiles
from edge.results.staging import Staging
from edge.results.store import Results
from edge.worker.attempt.admission import Kinds
from edge.worker.attempt.attempt import Attempt
from edge.worker.attempt.delivery import Delivery
from edge.worker.attempt.history import AttemptHistory, parallel_limit_of
from edge.worker.attempt.inputs import LocalInputs
from edge.worker.attempt.outcome import Outcome
from edge.worker.flow.batch import Batch
from edge.worker.flow.blocked import Blocked
from edge.worker.flow.flow import Flow
from edge.worker.flow.running import RunningJobs
from edge.worker.flow.settlement import Settlement
from edge.worker.intake.intake import Intake
from edge.worker.intake.pace import Pace
from edge.worker.power.feasibility import KindAverages
from edge.worker.power.power_watcher import PowerWatcher
from edge.worker.process.control import Control
from edge.worker.process.status import StatusFile

NORMAL = queue_name(Power.NORMAL)
QUEUES = {queue_name(power): power for power in Power}
FULL = OSError(28, "No space left on device")


@dataclass
class Disk:
    """Refuses the calls that a test chooses."""

    full: bool = False  # every call
    refuse: set[str] = field(default_factory=set)  # calls by name
    once: dict[str, int] = field(default_factory=dict)  # by name: N refuses the Nth call from now, once
    lost: set[str] = field(default_factory=set)  # results whose commit is refused
    meanwhile: dict[str, Callable[[], None]] = field(default_factory=dict)  # called once inside a call

    def use(self, call: str) -> None:
        """Raise OSError if the test refuses this call."""
        self.meanwhile.pop(call, lambda: None)()
        if call in self.once:
            self.once[call] -= 1
            if self.once[call] <= 0:
                del self.once[call]
                raise FULL
        if self.full or call in self.refuse:
            raise FULL

    def recover(self) -> None:
        """Accept all calls again."""
        self.full = False
        self.refuse.clear()
        self.once.clear()
        self.lost.clear()


class PlayedResults(Results):
    """Real results on a disk that may refuse them."""

    def __init__(self, config: Config, disk: Disk) -> None:
        super().__init__(config.layout)
        self.disk = disk

    def has(self, job_id: str) -> bool:
        """Do what the real method does, unless the disk refuses this call."""
        self.disk.use("has")
        return super().has(job_id)

    def announce(self, job_id: str) -> None:
        """Do what the real method does, unless the disk refuses this call."""
        self.disk.use("announce")
        super().announce(job_id)

    def stage(self, job_id: str) -> Staging:
        """Do what the real method does, unless the disk refuses this call."""
        self.disk.use("stage")
        return super().stage(job_id)

    def write(self, result: Result, staging: Staging | None = None) -> Written:
        """Do what the real method does, unless the disk refuses this call."""
        self.disk.use("write")
        return super().write(result, staging)

    def commit(self, members: Sequence[Written]) -> list[OSError | None]:
        """Commit as the real object does, except the members that the disk loses."""
        try:
            self.disk.use("commit")
        except OSError as err:
            for member in members:
                member.discard()
            return [err] * len(members)
        lost = [member for member in members if member.result.id in self.disk.lost]
        for member in lost:
            member.discard()
        kept = [member for member in members if member not in lost]
        outcomes = dict(zip((id(member) for member in kept), super().commit(kept), strict=True))
        return [outcomes.get(id(member), FULL if member in lost else None) for member in members]


class PlayedAttempts(AttemptsStore):
    """Real records on a disk that may refuse them."""

    def __init__(self, config: Config, disk: Disk) -> None:
        super().__init__(config.layout)
        self.disk = disk

    def read(self, job_id: str) -> Attempts | None:
        """Read the record, unless the disk refuses it."""
        self.disk.use("read-attempts")
        return super().read(job_id)

    def write(self, attempts: Attempts) -> None:
        """Write the record, unless the disk refuses it."""
        self.disk.use("write-attempts")
        super().write(attempts)


class PlayedPower:
    """Plays the watcher. A new report is read at the next `look`."""

    def __init__(self, state: PowerState) -> None:
        self.next_status = self.status = PowerStatus(state, "", "the test says so")
        self.version = 0
        self.expires_in_s = None

    def report(self, state: PowerState, **readings: float) -> None:
        """Set the next report of the governor."""
        seen = tuple(Reading("test", what, value) for what, value in readings.items())
        self.next_status = PowerStatus(state, "", "the test says so", readings=seen)

    def look(self) -> bool:
        """Read the next report. Return True if it is a new one."""
        changed = self.next_status is not self.status
        self.status = self.next_status
        self.version += changed
        return changed


@dataclass
class Message:
    """A message in its queue or in hand."""

    id: str
    task: str
    edge: dict[str, Any]
    deliveries: int = 0


class PlayedBroker:
    """Plays one connection to the broker, with its channel and its consumers."""

    def __init__(self, on_ack: Callable[[str], None]) -> None:
        self.queues: dict[str, list[Message]] = {queue: [] for queue in (*QUEUES, "edge.dead")}
        #: Requeued messages.
        self.returned: dict[str, list[Message]] = {queue: [] for queue in self.queues}  # delivered before `queues`
        self.unacked: dict[int, tuple[str, Message]] = {}
        self.acked: list[str] = []
        self.back: list[str] = []
        self.opened: list[tuple[str, int]] = []
        self.settling_frames: list[str] = []  # the kinds of frames that settled something
        self.frames = 0
        self.others: dict[str, int] = {}
        self.meanwhile: Callable[[], None] | None = None  # called once while a queue is closed
        self.on_ack = on_ack
        self.accept: Callable[..., None] = lambda *_: None
        self._consumers: dict[str, int] = {}
        self._tag = 0

    def put(self, job_id: str, queue: str = NORMAL, *, task: str = "echo", **edge: Any) -> None:
        """Publish a message."""
        self.queues[queue].append(Message(job_id, task, edge))

    def lose(self) -> None:
        """End the connection. All unacknowledged messages come again."""
        self._requeue(list(self.unacked))
        self._consumers.clear()
        self._tag = 0
        self.answer_s = 30.0

    # --- the methods of QueueConsumers

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the queues that are consumed."""
        return tuple(sorted(self._consumers))

    def prefetch(self, queue: str) -> int:
        """Return the prefetch of a queue, or 0 if the queue is not consumed."""
        return self._consumers.get(queue, 0)

    def open(self, queue: str, *, prefetch: int) -> None:
        """Consume a queue with this prefetch."""
        self._consumers[queue] = prefetch
        self.opened.append((queue, prefetch))

    def close_queue(self, queue: str) -> None:
        """Close a queue. Messages that are on their way arrive before the broker's answer."""
        happens, self.meanwhile = self.meanwhile, None
        if happens is not None:
            happens()
        self.read()
        self._consumers.pop(queue, None)

    def count(self, queue: str) -> int:
        """Return the number of consumers of a queue: this worker and `others`."""
        return 1 + self.others.get(queue, 0)

    def limit_answers(self, seconds: float) -> None:
        """Note the time limit."""
        self.answer_s = seconds

    def read(self) -> None:
        """Deliver what the prefetch allows."""
        for queue, prefetch in self._consumers.items():
            while (ready := self.returned[queue] or self.queues[queue]) and self._in_hand(queue) < prefetch:
                message = ready.pop(0)
                self._tag += 1
                self.unacked[self._tag] = queue, message
                self.accept(queue, self._wire(message, self._tag))
                message.deliveries += 1

    # --- the methods of an AMQP channel

    def basic_ack(self, delivery_tag: int, multiple: bool = False) -> None:
        """Acknowledge messages."""
        self.frames += 1
        self.settling_frames.append("ack")
        for tag in self._tags(delivery_tag, multiple):
            _, message = self.unacked.pop(tag)
            self.acked.append(message.id)
            self.on_ack(message.id)

    def send_method(self, sig: Any, _format: str, args: tuple[Any, ...]) -> None:
        """Handle a `basic.nack`."""
        assert sig == (60, 120)
        tag, multiple, requeue = args
        assert requeue
        self.frames += 1
        self.settling_frames.append("nack")
        self._requeue(self._tags(tag, multiple))

    def _tags(self, tag: int, multiple: bool) -> list[int]:
        assert tag in self.unacked, "RabbitMQ closes the channel for an unknown tag"
        return [each for each in self.unacked if each <= tag] if multiple else [tag]

    def ready(self, queue: str = NORMAL) -> list[str]:
        """Return the ids of the messages that no worker has in hand."""
        return [message.id for message in (*self.returned[queue], *self.queues[queue])]

    def _in_hand(self, queue: str) -> int:
        return sum(name == queue for name, _ in self.unacked.values())

    def _requeue(self, tags: list[int]) -> None:
        for tag in tags:
            queue, message = self.unacked.pop(tag)
            self.returned[queue].append(message)
            self.back.append(message.id)

    @staticmethod
    def _wire(message: Message, tag: int) -> Any:
        headers: dict[str, Any] = {"task": message.task, "id": message.id, "edge": message.edge}
        if message.deliveries:
            headers["x-delivery-count"] = message.deliveries
        return SimpleNamespace(
            headers=headers,
            properties={},
            body=b"",
            delivery_tag=tag,
            delivery_info={},
            decode=lambda: [[], {}, {}],
        )


class PlayedConsumers:
    """The consumers of a played broker."""

    def __init__(self, broker: PlayedBroker) -> None:
        self.broker = broker
        for name in ("prefetch", "open", "close_queue", "count", "limit_answers", "read"):
            setattr(self, name, getattr(broker, name))

    @property
    def queues(self) -> tuple[str, ...]:
        """The names of the queues that are consumed."""
        return self.broker.names


class Bodies:
    """An executor whose bodies end at once, as the test decides."""

    def __init__(self, board: Board) -> None:
        self.board = board
        self.free_slots = 1
        self.began: list[str] = []
        self.wrong: list[str] = []  # jobs that began although the governor's report forbade it
        self.ends: dict[str, Outcome] = {}
        self.files: dict[str, str] = {}
        self.meanwhile: dict[str, Callable[[], None]] = {}
        self.cancelled: list[str] = []

    def begin(self, attempt: Attempt, power: PowerStatus) -> None:
        """Run a body to its end, with the outcome that the test has set."""
        state = self.board.power.status.state
        if QUEUES.get(attempt.delivery.queue) not in ALLOWED[state] or power.state is not state:
            self.wrong.append(attempt.id)
        self.began.append(attempt.id)
        self.free_slots = 0
        assert attempt.staging is not None
        if attempt.id in self.files:
            attempt.staging.file("a.txt").write_text(self.files[attempt.id])
        self.meanwhile.get(attempt.id, lambda: None)()
        self.free_slots = 1
        self.board.history.end()
        outcome = self.ends.get(attempt.id, Outcome(value=1, encoded=msgspec.Raw(b"1"), seconds=0.001))
        attempt.end(outcome, Energy(seconds=outcome.seconds, cpu_seconds=0.0))

    def ended(self) -> tuple[Attempt, ...]:
        """Return no attempt, because `begin` ends every body."""
        return ()

    in_threads = False

    @property
    def busy(self) -> bool:
        """True inside `begin`."""
        return self.free_slots < 1

    def admits(self, parallel_limit: int) -> bool:
        """Return True for every limit, because no other body runs."""
        return parallel_limit >= 0

    def runs(self, job_id: str) -> bool:
        """Return False for every job, because `begin` ends every body."""
        return not job_id

    def join(self, delivery: Delivery) -> bool:
        """Return False for every delivery, because no body runs that it could join."""
        return delivery is None

    def apply_power(self, power: PowerStatus) -> None:
        """Do nothing, because no body runs that must be held."""

    def due_in_s(self) -> float | None:
        """Return None, because no body has a time limit."""
        return None

    def cancel(self, job_id: str) -> None:
        """Record the request."""
        self.cancelled.append(job_id)


class ThreadBodies(Bodies):
    """An executor whose bodies run in threads, until the test ends them in any order."""

    in_threads = True

    def __init__(self, board: Board, slots: int) -> None:
        super().__init__(board)
        self.free_slots = slots
        self.running: dict[str, Attempt] = {}
        self.parallel_limits: dict[str, int] = {}
        self.over: list[Attempt] = []
        self.heard: list[PowerState] = []

    @property
    def busy(self) -> bool:
        """True while a body runs."""
        return bool(self.running)

    def begin(self, attempt: Attempt, power: PowerStatus) -> None:
        """Start a body, which runs until the test calls `finish`."""
        state = self.board.power.status.state
        if QUEUES.get(attempt.delivery.queue) not in ALLOWED[state] or power.state is not state:
            self.wrong.append(attempt.id)
        assert attempt.id not in self.running, "two bodies of one job"
        self.began.append(attempt.id)
        self.running[attempt.id] = attempt
        if parallel_limit := parallel_limit_of(attempt.earlier.suspects if attempt.earlier is not None else 0):
            self.parallel_limits[attempt.id] = parallel_limit
        self.free_slots -= 1

    def finish(self, *ids: str) -> None:
        """End these bodies."""
        self.over += [self.running[job_id] for job_id in ids]

    def ended(self) -> tuple[Attempt, ...]:
        """Settle the bodies that the test has ended, and return their attempts."""
        over, self.over = tuple(self.over), []
        for attempt in over:
            del self.running[attempt.id]
            self.parallel_limits.pop(attempt.id, None)
            self.free_slots += 1
            outcome = self.ends.get(attempt.id, Outcome(value=1, encoded=msgspec.Raw(b"1"), seconds=0.001))
            attempt.end(outcome, Energy(seconds=outcome.seconds, cpu_seconds=0.0))
            self.board.history.end(attempt.id)
        return over

    def admits(self, parallel_limit: int) -> bool:
        """Return True if a body with this limit may run together with those that run. 0 means no limit."""
        if not parallel_limit:
            return not self.parallel_limits
        return len(self.parallel_limits) == len(self.running) < min((parallel_limit, *self.parallel_limits.values()))

    def runs(self, job_id: str) -> bool:
        """Return True if a body of this job runs."""
        return job_id in self.running

    def join(self, delivery: Delivery) -> bool:
        """Add the delivery to the attempt that runs, unless it belongs to a later attempt."""
        attempt = self.running[delivery.id]
        if delivery.failures > attempt.delivery.failures:
            return False
        attempt.join(delivery)
        return True

    def apply_power(self, power: PowerStatus) -> None:
        """Record the state."""
        self.heard.append(power.state)


class Board:
    """All parts of a worker. With `threads` it runs this number of bodies at once."""

    def __init__(self, config: Config, *, state: PowerState = PowerState.NORMAL, threads: int = 0) -> None:
        config.run.mkdir(parents=True, exist_ok=True)
        self.config = config
        self.disk = Disk()
        self.power = PlayedPower(state)
        self.timers: list[tuple[float, Callable[[], None]]] = []
        self.stops = 0
        self.fault: Exception | None = None
        self.results = PlayedResults(config, self.disk)
        self.attempts = PlayedAttempts(config, self.disk)
        self.history = AttemptHistory(config.layout, "main", self.attempts, many=bool(threads))
        self.history.recover()
        self.status = StatusFile(config.layout, "main", self.later)
        self.averages = KindAverages(config.layout.kinds("main"))
        self.broker = PlayedBroker(self._on_ack)
        self.threads = ThreadBodies(self, threads)
        self.bodies = self.threads if threads else Bodies(self)
        self.emptied = 0
        self.control = SimpleNamespace(stopping=False, stop=self._stop)
        self.wakeup = Wakeup()
        self.early_acks: list[str] = []
        self.flow = Flow(
            config,
            name="main",
            results=self.results,
            history=self.history,
            averages=self.averages,
            kinds=self._kinds,
            executor=self.bodies,
            running=RunningJobs(),
            batch=Batch(),
            blocked=Blocked(config.root, status=self.status, later=self.later, on_due=self._retry),
            control=cast("Control", self.control),
            status=self.status,
            hand_over=SpawnedFiles(config.layout),
            inputs=LocalInputs(Inputs(config.layout.files)),
        )
        self.intake = Intake(
            watcher=cast("PowerWatcher", self.power),
            flow=self.flow,
            executor=self.bodies,
            settlement=Settlement(),
            pace=Pace(steady=threads) if threads else Pace(),
            averages=self.averages,
            history=self.history,
            control=cast("Control", self.control),
            status=self.status,
            wakeup=self.wakeup,
            later=self.later,
            on_empty=self._on_empty,
        )
        self.broker.accept = self.intake.accept
        self.connect()

    def _on_empty(self) -> None:
        self.emptied += 1

    def connect(self) -> None:
        """Connect, as just before the event loop starts."""
        self.intake.attach(cast("Any", PlayedConsumers(self.broker)), self.broker, QUEUES)
        self.intake.open()

    def disconnect(self) -> None:
        """Break the connection."""
        self.intake.connection_lost()
        self.broker.lose()

    def know(self, *tasks: str, seconds: float = 0.001) -> None:
        """Make the worker know these kinds of job, with this mean duration."""
        for task in tasks:
            for _ in range(3):
                self.averages.note(task, Energy(seconds=seconds, cpu_seconds=0.0))

    def turn(self) -> None:
        """Run one turn of the loop: read from the connection, then handle the wakeup."""
        self.broker.read()
        self.intake.step()

    def turns(self, count: int = 200) -> None:
        """Run turns of the loop until nothing changes any more, at most `count` turns."""
        for _ in range(count):
            before = len(self.broker.acked), len(self.bodies.began), len(self.broker.unacked), len(self.broker.opened)
            self.turn()
            now = len(self.broker.acked), len(self.bodies.began), len(self.broker.unacked), len(self.broker.opened)
            if before == now:
                return

    def pass_time(self) -> float:
        """Fire the next timer and run one turn of the loop. Return the delay of the timer in seconds."""
        delay_s, call = self.timers.pop(0)
        call()
        self.turn()
        return delay_s

    def later(self, delay_s: float, call: Callable[[], None]) -> Any:
        """Schedule a call, as the event loop does."""
        self.timers.append((delay_s, call))
        return SimpleNamespace(cancel=lambda: None)

    def durable(self, job_id: str) -> bool:
        """Return True if the result or the failure of the job is durable."""
        if Results.has(self.results, job_id):
            return True
        record = AttemptsStore.read(self.attempts, job_id)
        return record is not None and record.failures > 0

    def record(self, job_id: str) -> dict[str, Any]:
        """Return the content of the result file."""
        payload = Results.read_bytes(self.results, job_id)
        assert payload is not None
        return cast("dict[str, Any]", json.loads(payload))

    def _retry(self) -> None:
        self.intake.retry()

    def _stop(self) -> None:
        self.stops += 1
        self.control.stopping = True

    def _on_ack(self, job_id: str) -> None:
        if not self.durable(job_id):
            self.early_acks.append(job_id)

    def _kinds(self) -> Kinds:
        if self.fault is not None:
            raise self.fault
        signature = SimpleNamespace(bind=lambda _args, _kwargs: {}, job_parameter=None)
        return Kinds({name: SimpleNamespace(edge_signature=signature, name=name) for name in ("echo", "slow")}, {})


def failed(message: str = "boom") -> Outcome:
    """Return the outcome of a body that raised."""
    from edge.model import FailureCode

    return Outcome(failure=Failure(FailureCode.EXCEPTION, message, "RuntimeError"), error=RuntimeError(message))
