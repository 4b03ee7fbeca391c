"""The gateway never agrees to a sleep while a job waits that may run, in whatever order events come."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType, SimpleNamespace
from typing import Any, cast

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.config import Config
from edge.config.power import PowerConfig
from edge.config.sleep import SleepConfig
from edge.core.errors import Asleep
from edge.core.host import boot_id
from edge.gateway.background.outbox import Outbox
from edge.gateway.background.sleep import SleepConsent, Use, objection
from edge.ledger.rows import NewJob
from edge.model import Power, SleepAnswer, SleepAsk

_CLASSES = st.sampled_from([(Power.ALWAYS,), (Power.ALWAYS, Power.NORMAL), tuple(Power)])
_COUNTS = st.dictionaries(st.sampled_from(Power), st.integers(0, 3))


def ask(classes: tuple[Power, ...] = (Power.ALWAYS,), *, name: str = "a", light: bool = False) -> SleepAsk:
    return SleepAsk(name, boot_id(), os.getpid(), classes, 300.0, time.time() + 3600, light=light)


@given(
    _CLASSES,
    _COUNTS,
    st.builds(Use, st.integers(0, 2), st.integers(0, 2), st.floats(0, 1e6)),
    st.none() | st.floats(0, 1e6),
)
def test_it_agrees_only_when_nothing_speaks_against_it(
    classes: tuple[Power, ...], backlog: dict[Power, int], use: Use, due_s: float | None
) -> None:
    """Without an objection no job may run, nobody uses the board, and nothing is due before the shortest sleep ends."""
    why, again_s = objection(ask(classes), use, backlog=backlog, due_s=due_s, quiet_s=300.0)
    if not why:
        assert not any(backlog.get(power) for power in classes)
        assert (use.requests, use.readers) == (0, 0)
        assert use.rested_s >= 300.0
        assert due_s is None or due_s >= 300.0
    assert again_s is None or 0 < again_s <= 300.0


class Ledger:
    """Takes the place of the outbox: counts of open jobs that a test changes, and nothing that is due."""

    def __init__(self) -> None:
        self.counts = dict.fromkeys(Power, 0)
        self.due: list[float | None] = []

    @property
    def totals(self) -> Any:
        return SimpleNamespace(backlog=MappingProxyType(dict(self.counts)))

    async def look(self, work: Callable[[Any], Any]) -> Any:
        await asyncio.sleep(0)  # a thread would also need some time
        return work(SimpleNamespace(next_due_of=lambda *_, **__: self.due, schedules=SimpleNamespace(waiting=list)))


class Played:
    """A consent with files in a test folder. A test plays the governor and the submitters."""

    def __init__(self, folder: Path) -> None:
        sleep = SleepConfig(when="idle", quiet_s=0.0)
        self.config = Config(root=folder / "root", run=folder / "run", power=PowerConfig(sleep=sleep))
        self.ledger = Ledger()
        self.consent = SleepConsent(
            self.config,
            cast("Outbox", self.ledger),
            readers=lambda: 0,
            class_of=lambda _: Power.ALWAYS,
        )
        self.consent.start()

    async def settle(self) -> None:
        for _ in range(20):
            await asyncio.sleep(0)

    def give(self, question: SleepAsk | None) -> None:
        path = self.config.layout.sleep_ask
        path.unlink(missing_ok=True)
        if question is not None:
            path.write_bytes(msgspec.json.encode(question))
        self.consent._look()

    @property
    def answer(self) -> SleepAnswer | None:
        path = self.config.layout.sleep_answer
        return msgspec.json.decode(path.read_bytes(), type=SleepAnswer) if path.exists() else None

    def agreed(self) -> bool:
        answer = self.answer
        return answer is not None and answer.agreed

    def away(self) -> bool:
        """Return True if the answers to submits say when the board is awake again."""
        return self.consent.away_s is not None

    def submit(self, power: Power) -> bool:
        """Submit a job of this class. Return True if it was accepted."""
        try:
            self.consent.check([cast("NewJob", SimpleNamespace(power=power))])
        except Asleep:
            return False
        self.ledger.counts[power] += 1
        self.consent.committed()
        return True


_EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("ask"), _CLASSES),
        st.tuples(st.just("submit"), st.sampled_from(Power)),
        st.tuples(st.just("ends"), st.sampled_from(Power)),
        st.tuples(st.just("due"), st.sampled_from(Power)),
        st.tuples(st.just("back"), st.none()),
        st.tuples(st.just("settle"), st.none()),
    ),
    max_size=25,
)


@settings(max_examples=60, deadline=None)
@given(_EVENTS)
def test_no_order_of_events_lets_it_sleep_with_a_job_that_may_run(events: list[tuple[str, Any]]) -> None:
    """While the gateway agrees, no job of these classes waits, whether it was submitted or became due."""

    async def play(played: Played) -> None:
        classes: tuple[Power, ...] = ()
        for number, (what, which) in enumerate(events):
            if what == "ask":
                classes = which
                played.give(ask(which, name=str(number)))
            elif what == "back":
                played.give(None)
            elif what == "submit":
                played.submit(which)
            elif what == "ends":
                played.ledger.counts[which] = max(0, played.ledger.counts[which] - 1)
            elif what == "due":
                played.ledger.counts[which] += 1
                played.consent.committed()
            else:
                await played.settle()
        await played.settle()
        answer = played.answer
        question = played.consent._read_question()
        if answer is not None and question is not None and answer.id == question.id and answer.agreed:
            assert not any(played.ledger.counts[power] for power in classes)
            for power in classes:
                assert not played.submit(power)
                break
        played.consent.stop()

    with TemporaryDirectory(prefix="consent-") as folder:

        async def run() -> None:
            await play(Played(Path(folder)))

        asyncio.run(run())


@pytest.mark.parametrize("light", [False, True])
def test_a_job_that_may_run_ends_the_agreement(tmp_path: Path, light: bool) -> None:
    """A job that may run ends the agreement. Its submitter must try again, unless it was for a light sleep."""

    async def run() -> None:
        played = Played(tmp_path)
        played.give(ask(light=light))
        await played.settle()
        assert played.agreed()
        assert (played.consent.wake_at is None) is light
        assert played.submit(Power.NORMAL)
        assert played.submit(Power.ALWAYS) is light
        assert not played.agreed()
        assert played.consent.wake_at is None
        assert played.submit(Power.ALWAYS)
        played.consent.stop()

    asyncio.run(run())


def test_while_the_board_goes_down_each_job_that_may_run_is_refused(tmp_path: Path) -> None:
    """The shutdown does not turn back after its first step. A job that was accepted then would sleep with the board."""

    async def run() -> None:
        played = Played(tmp_path)
        question = ask()
        played.give(question)
        await played.settle()
        played.give(msgspec.structs.replace(question, begun=True))
        assert not played.submit(Power.ALWAYS)
        assert not played.agreed()
        assert not played.submit(Power.ALWAYS)
        assert played.submit(Power.NORMAL)  # it may not run now; its submitter learns when the board is awake
        assert played.away()
        played.give(None)  # the governor gave the sleep up
        assert not played.away()
        assert played.submit(Power.ALWAYS)
        played.consent.stop()

    asyncio.run(run())


def test_an_agreement_that_lapses_while_units_stop_still_refuses_jobs(tmp_path: Path) -> None:
    """Each of several units may take 90 s to stop."""

    async def run() -> None:
        played = Played(tmp_path)
        played.consent._lapses_s = 0.0
        question = ask()
        played.give(question)
        await played.settle()
        played.give(msgspec.structs.replace(question, begun=True))
        await asyncio.sleep(0.01)
        assert not played.agreed()
        assert not played.submit(Power.ALWAYS)
        played.consent.stop()

    asyncio.run(run())


def test_a_gateway_that_starts_while_the_board_goes_down_refuses_jobs(tmp_path: Path) -> None:
    """It does not agree, because a job is due soon, but the earlier gateway agreed."""

    async def run() -> None:
        played = Played(tmp_path)
        played.ledger.due = [time.time() + 1]
        played.give(msgspec.structs.replace(ask(), begun=True))
        await played.settle()
        assert not played.agreed()
        assert not played.submit(Power.ALWAYS)
        played.consent.stop()

    asyncio.run(run())
