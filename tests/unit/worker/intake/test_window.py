"""Random days of a worker: messages, power, disk, broker and stops in any order keep all promises of the window."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.config import Config, load
from edge.model import Power, PowerState
from edge.results.store import Results
from tests.unit.worker.played_worker import QUEUES, Board, failed

_QUEUES = sorted(QUEUES)
_STATES = (PowerState.SURPLUS, PowerState.NORMAL, PowerState.LOW, PowerState.UNKNOWN, PowerState.PAUSED)
_CALLS = ("has", "stage", "write", "commit", "read-attempts", "write-attempts", "announce")

_event = st.one_of(
    st.tuples(st.just("put"), st.sampled_from(_QUEUES), st.sampled_from(["echo", "slow"]), st.integers(1, 12)),
    st.tuples(st.just("copy"), st.integers(0, 50)),
    st.tuples(st.just("fail"), st.sampled_from(_QUEUES)),
    st.tuples(st.just("power"), st.sampled_from(_STATES)),
    st.tuples(st.just("power-within"), st.sampled_from(_STATES)),
    st.tuples(st.just("power-in"), st.sampled_from(_CALLS), st.sampled_from(_STATES)),
    st.tuples(st.just("power-at-close"), st.sampled_from(_STATES)),
    st.tuples(st.just("lasts")),
    st.tuples(st.just("refuse"), st.sampled_from(_CALLS), st.integers(1, 4)),
    st.tuples(st.just("full")),
    st.tuples(st.just("recover")),
    st.tuples(st.just("turn"), st.integers(1, 5)),
    st.tuples(st.just("timer")),
    st.tuples(st.just("disconnect")),
    st.tuples(st.just("cancel"), st.integers(0, 50)),
    st.tuples(st.just("restart")),
)


class Day:
    """One worker, and a new one after each stop."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.board = self._start()
        self.jobs: list[tuple[str, str, str]] = []  # id, queue, task
        self.failing: set[str] = set()
        self.early: list[str] = []
        self.wrong: list[str] = []

    def _start(self) -> Board:
        board = Board(self.config)
        board.know("echo")
        return board

    def do(self, event: tuple[object, ...]) -> None:
        """Let one event happen."""
        kind, *args = event
        getattr(self, str(kind).replace("-", "_"))(*args)

    def put(self, queue: str, task: str, count: int) -> None:
        for _ in range(count):
            job = f"job-{len(self.jobs)}"
            self.jobs.append((job, queue, task))
            self.board.broker.put(job, queue, task=task)

    def copy(self, number: int) -> None:
        if number < len(self.jobs):
            job, queue, task = self.jobs[number]
            if job not in self.failing:
                self.board.broker.put(job, queue, task=task)

    def fail(self, queue: str) -> None:
        job = f"job-{len(self.jobs)}"
        self.jobs.append((job, queue, "echo"))
        self.failing.add(job)
        self.board.bodies.ends[job] = failed()
        self.board.broker.put(job, queue, retries=1)

    def power(self, state: PowerState) -> None:
        self.board.power.report(state)

    def power_within(self, state: PowerState) -> None:
        self._within(lambda: self.board.power.report(state))

    def power_in(self, call: str, state: PowerState) -> None:
        self.board.disk.meanwhile[call] = lambda: self.board.power.report(state)

    def power_at_close(self, state: PowerState) -> None:
        self.board.broker.meanwhile = lambda: self.board.power.report(state)

    def lasts(self) -> None:
        self._within(self.board.intake.commit_and_give_back)

    def _within(self, happens: Callable[[], None]) -> None:
        open_jobs = [job for job, *_ in self.jobs if job not in self.board.bodies.began]
        if open_jobs:
            self.board.bodies.meanwhile[open_jobs[len(open_jobs) // 2]] = happens

    def refuse(self, call: str, number: int) -> None:
        self.board.disk.once[call] = number

    def full(self) -> None:
        self.board.disk.full = True

    def recover(self) -> None:
        self.board.disk.recover()

    def turn(self, count: int) -> None:
        for _ in range(count):
            self.board.turn()

    def timer(self) -> None:
        if self.board.timers:
            self.board.pass_time()

    def disconnect(self) -> None:
        self.board.disconnect()
        self.board.connect()

    def cancel(self, number: int) -> None:
        from edge.model import JobState, Result

        if number < len(self.jobs):
            job = self.jobs[number][0]
            Results(self.config.layout).publish(Result(job, "", JobState.CANCELLED, attempts=0))
            self.board.intake.reconsider()

    def restart(self) -> None:
        """Stop the worker regularly, and start another one with the same queues."""
        old = self.board
        old.control.stopping = True
        old.turn()
        old.intake.release()
        assert old.broker.unacked == {}, "all is settled or back"
        self._keep()
        self.board = self._start()
        self.board.power.report(old.power.next_status.state)
        broker = self.board.broker
        for queue, messages in old.broker.queues.items():
            broker.queues[queue] = [*old.broker.returned[queue], *messages]
        self.board.bodies.ends = old.bodies.ends

    def _keep(self) -> None:
        self.early += self.board.early_acks
        self.wrong += self.board.bodies.wrong

    def end(self) -> None:
        """Make power and disk good from now on."""
        board = self.board
        board.disk.recover()
        board.disk.meanwhile.clear()
        board.broker.meanwhile = None
        board.bodies.meanwhile.clear()
        board.power.report(PowerState.SURPLUS)
        for _ in range(400):
            board.turn()
            if board.timers and (board.flow.blocked or board.intake._window.parked):
                board.pass_time()
            left = sum(len(board.broker.ready(queue)) for queue in board.broker.queues) + len(board.broker.unacked)
            if not left and not board.flow.blocked:
                break
        self._keep()
        assert left == 0, "every message is settled in the end"


def _config(folder: Path) -> Config:
    path = folder / "edge.yaml"
    path.write_text("root: state\nrun: run\n")
    return load(path, env={}).config


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(_event, max_size=40))
def test_any_day_ends_well(events: list[tuple[object, ...]]) -> None:
    """No acknowledgement comes before a durable result or record. Nothing starts against power, and each job ends."""
    memory = "/dev/shm" if Path("/dev/shm").is_dir() else None  # nothing is cut here, so nothing has to be synced
    with tempfile.TemporaryDirectory(prefix="edge-window-", dir=memory) as folder:
        day = Day(_config(Path(folder)))
        for event in events:
            day.do(event)
        day.end()
        assert day.early == []
        assert day.wrong == []
        for job, _, _ in day.jobs:
            assert day.board.durable(job), job
            if job not in day.failing:
                assert Results(day.config.layout).read(job) is not None


def test_the_power_classes_are_those_of_the_queues() -> None:
    """The table of this file is the same as that of the product."""
    assert set(QUEUES.values()) == set(Power)
    assert msgspec.json.encode(sorted(QUEUES)) == b'["edge.always","edge.normal","edge.surplus"]'
