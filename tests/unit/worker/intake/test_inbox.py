"""What a worker has in hand: nothing of it begins without power, whatever held it up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from edge.core.layout import Layout
from edge.core.wakeup import Wakeup
from edge.model import PowerState, PowerStatus
from edge.worker.attempt.delivery import Delivery
from edge.worker.attempt.history import AttemptHistory
from edge.worker.intake.inbox import Inbox
from edge.worker.process.control import Control
from edge.worker.process.status import StatusFile

FULL = OSError(28, "No space left on device")


@dataclass
class Board:
    """An inbox whose disk and power are the test's to play; it is the inbox's door as well."""

    layout: Layout
    power: bool = True
    full: bool = False
    looks_first: bool = False
    ran: list[str] = field(default_factory=list)
    back: list[str] = field(default_factory=list)
    reopened: int = 0
    timers: list[tuple[float, Callable[[], None]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.layout.run.mkdir(parents=True)
        self.said = PowerStatus(PowerState.NORMAL, "", "")
        self.inbox = Inbox(
            root=self.layout.root,
            status=StatusFile(self.layout, "main", self.later),
            history=AttemptHistory(self.layout, "main"),
            control=cast("Control", SimpleNamespace(stopping=False)),
            bell=Wakeup(),
            later=self.later,
            process=self.process,
        )
        self.inbox.door = self

    def refresh(self) -> None:
        """As the gate."""
        self.inbox.give_back(self.allows)

    def reopen(self) -> None:
        """As the gate."""
        self.reopened += 1
        self.refresh()

    def allows(self, _queue: str) -> bool:
        """As the gate."""
        return self.power

    def later(self, delay_s: float, call: Callable[[], None]) -> None:
        """As the loop."""
        self.timers.append((delay_s, call))

    def process(self, delivery: Delivery) -> None:
        """As the runner: the body runs unless the disk is full."""
        if self.full:
            self.inbox.hold(delivery, self.again if self.looks_first else self.process, FULL)
            return
        self.ran.append(delivery.id)
        self.inbox.acknowledge(delivery)

    def again(self, delivery: Delivery) -> None:
        """As the runner, for a body that the full disk ended: it waits for room before it tries."""
        if self.full:
            self.inbox.hold(delivery, self.again, FULL)
        else:
            self.inbox.put_back(delivery)

    def give(self, job_id: str) -> None:
        """A message comes."""
        message: Any = SimpleNamespace(
            headers={"task": "echo", "id": job_id},
            properties={},
            body=b"",
            decode=lambda: [[], {}, {}],
            delivery_info={},
            ack=lambda: None,
            requeue=lambda: self.back.append(job_id),
        )
        self.inbox.accept("edge.normal", message)

    def pass_time(self) -> float:
        """The next timer fires, and the loop has its turn; how long that took."""
        delay_s, call = self.timers.pop(0)
        call()
        self.inbox.step()
        return delay_s


@pytest.fixture(params=[False, True])
def board(tmp_path: Path, request: pytest.FixtureRequest) -> Board:
    return Board(Layout(tmp_path / "state", tmp_path / "run"), looks_first=request.param)


def test_a_job_that_a_full_disk_held_is_begun_once_there_is_room(board: Board) -> None:
    """It is tried ever more seldom; then all is as if nothing had been."""
    board.full = True
    board.give("job-1")
    board.inbox.step()
    assert [board.pass_time() for _ in range(6)] == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0]
    assert board.reopened == 0  # a broker on the same full disk would not answer
    board.full = False
    board.pass_time()
    assert (board.ran, board.reopened) == (["job-1"], 1)
    board.full = True
    board.give("job-2")
    board.inbox.step()
    assert board.timers[-1][0] == 1.0


def test_a_job_that_a_full_disk_held_is_not_begun_after_power_fell(board: Board) -> None:
    """It goes back to its queue: there was room again, but no power for it."""
    board.full = True
    board.give("job-1")
    board.inbox.step()
    board.full, board.power = False, False
    board.pass_time()
    assert (board.ran, board.back) == ([], ["job-1"])
    board.power = True
    board.give("job-2")
    board.inbox.step()
    assert board.ran == ["job-2"]


def test_a_held_job_whose_message_was_lost_is_begun_when_it_comes_again(board: Board) -> None:
    """Begun for a message that is gone it would be begun twice."""
    board.full = True
    board.give("job-1")
    board.inbox.step()
    board.inbox.connection_lost()
    board.full = False
    board.pass_time()
    board.give("job-1")
    board.inbox.step()
    assert board.ran == ["job-1"]
