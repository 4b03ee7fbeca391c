"""Slots are decided once, with a clock that jumps or is not known, and without wake-ups while nothing is due."""

from __future__ import annotations

import asyncio
import errno
import itertools
import time
import zoneinfo
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from importlib import resources
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from edge.config import Config
from edge.core.clock import SteadyClock
from edge.gateway.background import zone_rules
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
        """Make a schedule."""
        await self.keeper.put(ScheduleRow(name, f"uid-{name}", asked, "me", "UTC", None, None, time.time()))

    def slots(self, name: str = "s") -> list[SlotRow]:
        return self.outbox.reader.schedules.slots(f"uid-{name}", limit=500)

    def due_hour(self, name: str = "s") -> int:
        """Return the hour in UTC of the next slot."""
        row = self.outbox.reader.schedules.find(name)
        assert row is not None
        assert row.due_at is not None
        return int(row.due_at) // 3600 % 24

    def fates(self) -> set[Fate]:
        return {slot.fate for slot in self.slots()}


@asynccontextmanager
async def running(config: Config, clock: Clock, *, calm_s: float = 10.0) -> AsyncIterator[Board]:
    config.layout.root.mkdir(exist_ok=True)
    outbox = Outbox(config)
    outbox.start()
    steady = SteadyClock(wall=clock.now)
    keeper = Timekeeper(outbox, Journal(), kind=lambda _: None, trusted=clock.trusted, steady=steady, calm_s=calm_s)
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


@pytest.fixture
def rules(tmp_path: Path) -> Iterator[Callable[[str], None]]:
    """Install rules in which Europe/Berlin is another zone, as a package does: file by file, by renames."""
    folder = tmp_path / "zoneinfo"

    def install(zone: str) -> None:
        (folder / "Europe").mkdir(parents=True, exist_ok=True)
        content = resources.files("tzdata").joinpath("zoneinfo", *zone.split("/")).read_bytes()
        for name, data in (("Europe/Berlin", content), ("tzdata.zi", f"# {zone}\n".encode())):
            (folder / f"{name}.new").write_bytes(data)
            (folder / f"{name}.new").replace(folder / name)

    install("Etc/GMT-1")
    before = zoneinfo.TZPATH
    zoneinfo.reset_tzpath(to=[folder])
    ZoneInfo.clear_cache()
    yield install
    zoneinfo.reset_tzpath(to=before)
    ZoneInfo.clear_cache()


def test_schedules_follow_new_rules_of_the_time_zones_at_once(
    config: Config, clock: Clock, rules: Callable[[str], None]
) -> None:
    """An update of tzdata moves the next slots without a restart, and new schedules have the new rules, too."""
    noon = Schedule("echo", ["hi"], cron="0 12 * * *", timezone="Europe/Berlin")

    async def run() -> None:
        async with running(config, clock, calm_s=0.2) as board:
            await board.put(noon)
            assert board.due_hour() == 11
            await until(lambda: board.keeper.knows_time)
            rules("Etc/GMT-5")
            await until(lambda: board.due_hour() == 7)
            await board.put(noon, "t")
            assert board.due_hour("t") == 7

    asyncio.run(run())


def test_new_rules_are_noticed_by_the_next_decision_without_a_watch(
    config: Config, clock: Clock, rules: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the folder cannot be watched, each look at the schedules compares the rules."""

    def refuse(*_: object) -> None:
        raise OSError(errno.EMFILE, "too many watches")

    monkeypatch.setattr(zone_rules, "Watch", refuse)

    async def run() -> None:
        async with running(config, clock) as board:
            await board.put(Schedule("echo", ["hi"], cron="0 12 * * *", timezone="Europe/Berlin"))
            await until(lambda: board.keeper.knows_time)
            rules("Etc/GMT-5")
            board.keeper.clock_was_set()
            await until(lambda: board.due_hour() == 7)

    asyncio.run(run())


def test_a_zone_that_new_rules_do_not_have_stops_no_other_schedule(
    config: Config, clock: Clock, rules: Callable[[str], None], tmp_path: Path
) -> None:
    async def run() -> None:
        async with running(config, clock, calm_s=0.2) as board:
            lost = tmp_path / "zoneinfo" / "Lost"
            lost.write_bytes((tmp_path / "zoneinfo" / "Europe" / "Berlin").read_bytes())
            for name, zone in (("a", "Lost"), ("s", "Europe/Berlin")):
                await board.put(Schedule("echo", ["hi"], cron="0 12 * * *", timezone=zone), name)
            lost.unlink()
            rules("Etc/GMT-5")
            await until(lambda: board.due_hour() == 7)
            assert board.due_hour("a") == 11

    asyncio.run(run())
