"""Runs the gateway's schedules in a separate process with a clock that jumps: `python -m tests.schedules.board`.

The ledger, its commit thread, the outbox and the timekeeper are the gateway's. The broker is not reachable, and this
process ends some jobs itself in place of workers. It prints each decision as a line of JSON after the commit, so a
printed line is a promise.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import msgspec

from edge.config import BrokerConfig, Config
from edge.core.clock import SteadyClock
from edge.gateway.background.journal import Journal
from edge.gateway.background.outbox import Outbox
from edge.gateway.background.timekeeper import Timekeeper
from edge.ledger import schedules as ledger_schedules
from edge.ledger.rows import JobRow
from edge.ledger.schedules import ScheduleRow
from edge.ledger.writer import LedgerWriter
from edge.model import JobState, Missed, Overlap, Result, Schedule
from edge.wire import ScheduleChange

SCHEDULES = 50


class Orders(msgspec.Struct, frozen=True):
    """The orders for one run of the board."""

    root: str
    seed: int
    wall: float  # time of its clock at the start; a time before 2025 means that the clock is not set
    jumps: tuple[tuple[float, float], ...] = ()  # (seconds from the start, new time of the clock)


class Clock:
    """The wall clock of this process."""

    def __init__(self, wall: float) -> None:
        self._offset_s = wall - time.monotonic()

    def now(self) -> float:
        """Seconds since 1970."""
        return time.monotonic() + self._offset_s

    def set(self, wall: float) -> None:
        """Set the clock to this time."""
        self._offset_s = wall - time.monotonic()

    def trusted(self) -> float | None:
        """Return the time, or None if the clock is not set, as `edge.core.clock.trusted_now` does."""
        now = self.now()
        return now if now > 1_735_689_600 else None


class Printing(Journal):
    """Prints decisions about schedules once they are durable. Runs on the event loop."""

    def accepted(self, jobs: Iterable[JobRow]) -> None:
        """Ignore accepted jobs."""

    def schedule(self, change: ScheduleChange) -> None:
        """Print the decision to stdout."""
        line = [change.name, change.deed.value, change.slot, change.job]
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()


def wanted(number: int) -> Schedule:
    """Return schedule `number`; together they combine every rule with every other, at intervals of a few seconds."""
    chance = random.Random(number)
    interval = chance.choice([1, 2, 3, 5, 20, None, None])
    return Schedule(
        task="echo",
        args=["x"],
        every_s=interval,
        cron=None if interval else chance.choice(["* * * * *", "*/5 * * * *", "30 2 * * *", "@hourly"]),
        timezone=chance.choice(["UTC", "Europe/Berlin", "Australia/Lord_Howe"]),
        missed=list(Missed)[number % 3],
        overlap=list(Overlap)[number // 3 % 3],
        within_s=chance.choice([None, None, 30.0, 100_000.0]),
        jitter_s=chance.choice([0.0, 0.0, 4.0]),
    )


async def live(orders: Orders) -> None:
    """Run until the process is killed."""
    ledger_schedules.KEEP_SLOTS = 1 << 30  # the audit needs all slots
    clock = Clock(orders.wall)
    time.time = clock.now
    journal = Printing()
    journal.on = True
    config = Config(root=Path(orders.root), run=Path(orders.root) / "run", broker=BrokerConfig(port=1))
    outbox = Outbox(config, journal=journal)
    outbox.start()
    keeper = Timekeeper(outbox, journal, kind=lambda _: None, trusted=clock.trusted, steady=SteadyClock(wall=clock.now))
    task = asyncio.create_task(keeper.run())
    loop = asyncio.get_running_loop()
    began = time.monotonic()
    for after_s, wall in orders.jumps:
        loop.call_later(after_s, jump, clock, keeper, wall)
    for number in range(SCHEDULES):
        name = f"s{number}"
        if outbox.reader.schedules.find(name) is None:
            row = ScheduleRow(name, f"uid-{name}", wanted(number), "me", wanted(number).timezone or "", None, None, 1.0)
            await keeper.put(row)
    sys.stdout.write(json.dumps(["ready", time.monotonic() - began]) + "\n")
    sys.stdout.flush()
    chance = random.Random(orders.seed)
    while not task.done():
        await asyncio.sleep(0.15)
        await outbox.write(lambda ledger: end_some(ledger, chance))


def jump(clock: Clock, keeper: Timekeeper, wall: float) -> None:
    """Set the clock, and notify the timekeeper, which the kernel would do."""
    clock.set(wall)
    keeper.clock_was_set()


def end_some(ledger: LedgerWriter, chance: random.Random) -> None:
    """End about half of the open jobs."""
    for job in ledger.reader.page(states=[JobState.ACCEPTED], limit=200):
        if chance.random() < 0.5:
            ledger.finish(Result(job.id, job.task, JobState.SUCCEEDED, finished_at=1.0), size_bytes=1)


if __name__ == "__main__":
    asyncio.run(live(msgspec.json.decode(sys.argv[1], type=Orders)))
