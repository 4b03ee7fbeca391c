"""Slots are decided once, with a clock that jumps or is not known, and without wake-ups while nothing is due."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from edge.config import Config
from edge.core.clock import SteadyClock
from edge.gateway.background.journal import Journal
from edge.gateway.background.outbox import Outbox
from edge.gateway.background.timekeeper import Timekeeper
from edge.ledger.schedules import ScheduleRow, SlotRow
from edge.ledger.writer import LedgerWriter
from edge.model import Fate, Missed, Overlap, Schedule

YEAR_S = 365 * 86_400


class Clock:
    """A wall clock that a test can set, trusted or not."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._real, self._offset_s, self.known = time.time, 0.0, True
        monkeypatch.setattr(time, "time", self.now)

    def now(self) -> float:
        return self._real() + self._offset_s

    def jump(self, by_s: float) -> None:
        self._offset_s += by_s

    def trusted(self) -> float | None:
        return self.now() if self.known else None


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


class Board:
    """An outbox and a timekeeper on the running loop."""

    def __init__(self, outbox: Outbox, keeper: Timekeeper) -> None:
        self.outbox, self.keeper = outbox, keeper

    async def put(self, asked: Schedule, name: str = "s") -> None:
        await self.keeper.put(ScheduleRow(name, f"uid-{name}", asked, "me", "UTC", None, None, time.time()))

    def slots(self, name: str = "s") -> list[SlotRow]:
        return self.outbox.reader.schedules.slots(f"uid-{name}", limit=500)

    def fates(self) -> set[Fate]:
        return {slot.fate for slot in self.slots()}


@asynccontextmanager
async def running(config: Config, clock: Clock) -> AsyncIterator[Board]:
    config.layout.root.mkdir(exist_ok=True)
    outbox = Outbox(config)
    outbox.start()
    steady = SteadyClock(wall=clock.now)
    keeper = Timekeeper(outbox, Journal(), kind=lambda _: None, trusted=clock.trusted, steady=steady)
    task = asyncio.create_task(keeper.run())
    try:
        yield Board(outbox, keeper)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await outbox.stop()


async def until(what: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not what():
            await asyncio.sleep(0.02)


def hourly(**changes: object) -> Schedule:
    return Schedule("echo", ["hi"], cron="@hourly", timezone="UTC", overlap=Overlap.ALLOW, **changes)  # type: ignore[arg-type]


def test_slots_wait_until_the_time_is_known(config: Config, clock: Clock) -> None:
    """Slots of a schedule made without a clock count from the moment when it was made."""

    async def run() -> None:
        clock.known = False
        async with running(config, clock) as board:
            await board.put(Schedule("echo", ["hi"], every_s=1, overlap=Overlap.ALLOW))
            await asyncio.sleep(2.2)
            assert board.slots() == []
            assert not board.keeper.knows_time
            clock.known = True
            clock.jump(YEAR_S)
            board.keeper.clock_was_set()
            await until(lambda: Fate.RAN in board.fates())
            first = min(board.slots(), key=lambda slot: slot.first)
            assert time.time() - first.first < 60  # not a year

    asyncio.run(run())


@pytest.mark.parametrize("missed", list(Missed))
def test_a_jump_ahead_by_years_makes_no_storm_and_loses_no_slot(config: Config, clock: Clock, missed: Missed) -> None:
    async def run() -> None:
        async with running(config, clock) as board:
            await board.put(hourly(missed=missed))
            began = time.time()
            await until(lambda: board.keeper.knows_time)
            clock.jump(2 * YEAR_S)
            board.keeper.clock_was_set()
            await until(lambda: bool(board.slots()))
            slots = sorted(board.slots(), key=lambda slot: slot.first)
            assert slots[0].first - began <= 3600
            assert time.time() - slots[-1].last <= 3600
            assert all(after.first - before.last == 3600 for before, after in itertools.pairwise(slots))
            assert sum(slot.fate is Fate.RAN for slot in slots) == {"last": 1, "all": 100, "skip": 0}[missed]

    asyncio.run(run())


def test_a_jump_back_runs_nothing_twice_and_gives_the_others_a_new_decision(config: Config, clock: Clock) -> None:
    async def run() -> None:
        async with running(config, clock) as board:
            await board.put(hourly())
            await until(lambda: board.keeper.knows_time)
            clock.jump(24 * 3600)
            board.keeper.clock_was_set()
            await until(lambda: board.fates() == {Fate.RAN, Fate.COALESCED})
            (ran,) = [slot for slot in board.slots() if slot.fate is Fate.RAN]
            clock.jump(-24 * 3600)
            board.keeper.clock_was_set()
            await until(lambda: board.fates() == {Fate.RAN})
            clock.jump(25 * 3600)
            board.keeper.clock_was_set()
            await until(lambda: len(board.slots()) >= 3)
            again = [slot for slot in board.slots() if slot.fate is Fate.RAN]
            assert ran.job in {slot.job for slot in again}
            assert len({slot.job for slot in again}) == len({slot.first for slot in again}) == 2
            assert all(not slot.first <= ran.first <= slot.last for slot in board.slots() if slot.fate is not Fate.RAN)

    asyncio.run(run())


def test_a_thousand_schedules_wake_nobody_and_write_nothing(config: Config, clock: Clock) -> None:
    """Of a thousand schedules only the one that is due wakes the timekeeper and writes."""

    async def run() -> None:
        async with running(config, clock) as board:

            def fill(ledger: LedgerWriter) -> None:
                for number in range(1000):
                    now = int(time.time())
                    ledger.schedules.put(
                        ScheduleRow(f"n{number}", f"u{number}", hourly(), "me", "UTC", now, now + 7200.0 + number, 1.0)
                    )

            await board.outbox.write(fill, durable=True)
            looks = list[float]()
            decide = board.keeper._decide

            async def counted() -> float | None:
                looks.append(time.monotonic())
                return await decide()

            board.keeper._decide = counted  # type: ignore[method-assign]
            board.keeper.clock_was_set()
            await until(lambda: len(looks) == 1)
            await asyncio.sleep(0.7)  # so that late writes are over
            files = [config.layout.ledger, config.layout.ledger.with_name(f"{config.layout.ledger.name}-wal")]
            before = [(file.stat().st_size, file.stat().st_mtime_ns) for file in files]
            await asyncio.sleep(2)
            assert len(looks) == 1
            assert [(file.stat().st_size, file.stat().st_mtime_ns) for file in files] == before
            await board.put(Schedule("echo", ["hi"], every_s=2, overlap=Overlap.ALLOW))
            await until(lambda: bool(board.slots()))
            assert len(looks) <= 4  # one when the schedule was put, and those for its slots

    asyncio.run(run())
