"""Agrees to a sleep of the board, or says what speaks against it: jobs that may run, and people who use the board.

The governor asks by a file. Nothing is watched and nothing runs where `power.sleep.when` is `never`, and between two
questions nothing wakes up. After the gateway has agreed, a submission of a job that could run now is refused with
`Asleep`, and the agreement is withdrawn. The board stays awake if the way down has not begun; the client tries again.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable, Iterable, Mapping

import msgspec

from edge.config import Config
from edge.core import clock, durable
from edge.core.errors import Asleep, EdgeError, StorageError
from edge.core.host import boot_id, process_alive
from edge.core.text import duration
from edge.core.watch import Watch
from edge.gateway.background.outbox import Outbox
from edge.ledger.reader import LedgerReader
from edge.ledger.rows import NewJob
from edge.model import Power, SleepAnswer, SleepAsk

log = logging.getLogger(__name__)

#: An agreement that the governor does not act on ends after this time and the grace of the jobs.
_LAPSES_S = 120.0
#: `Retry-After` in seconds for a refused job: by then the board has either stayed awake or is off.
_AGAIN_S = 3


class Use(msgspec.Struct, frozen=True):
    """Who uses the board now."""

    requests: int = 0  # that are being answered, with uploads and waits
    readers: int = 0  # of events
    rested_s: float = 0.0  # since the last request of somebody who may ask


def objection(
    ask: SleepAsk, use: Use, *, backlog: Mapping[Power, int], due_s: float | None, quiet_s: float
) -> tuple[str, float | None]:
    """Return (reason against the sleep, seconds until it may have passed); the reason is empty if nothing is.

    The seconds are None if nobody knows. `due_s` is in seconds from now.
    """
    waiting = {power: count for power in ask.classes if (count := backlog.get(power, 0)) > 0}
    if waiting:
        power, count = next(iter(waiting.items()))
        return f"{count} job{'' if count == 1 else 's'} of class {power} may run", None
    if use.requests:
        return f"{use.requests} request{'' if use.requests == 1 else 's'} being answered", None
    if use.readers:
        return "somebody follows the events or has the page open", None
    if use.rested_s < quiet_s:
        return f"somebody used it {duration(use.rested_s)} ago", quiet_s - use.rested_s
    if due_s is not None and due_s < ask.least_s:
        return f"a job is due in {duration(due_s)}; a sleep needs {duration(ask.least_s)}", None
    return "", None


class SleepConsent:
    """Answers the governor's question whether the board may sleep.

    Runs on the event loop; `committed` is called in the thread of the ledger.
    """

    def __init__(
        self,
        config: Config,
        outbox: Outbox,
        *,
        readers: Callable[[], int],
        class_of: Callable[[str], Power],
    ) -> None:
        """`readers` counts who reads events; `class_of` returns the default power class of a kind."""
        self._layout, self._outbox = config.layout, outbox
        self._quiet_s, self._lapses_s = config.power.sleep.quiet_s, _LAPSES_S + config.power.critical.grace_s
        self._readers, self._class_of = readers, class_of
        self._watch: Watch | None = None
        self._agreed: SleepAsk | None = None
        self._lapse: asyncio.TimerHandle | None = None
        self._tasks = set[asyncio.Task[None]]()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._requests, self._used_s = 0, time.monotonic()

    # ---- who uses the board ----

    def began(self) -> None:
        """A request begins."""
        self._requests += 1

    def ended(self, *, allowed: bool) -> None:
        """A request was answered; one that was refused is no use of the board."""
        self._requests -= 1
        if allowed:
            self._used_s = time.monotonic()

    # ---- what submitters are told ----

    @property
    def wake_at(self) -> float | None:
        """Epoch seconds at which the board wakes if it is about to go down; else, or if unknown, None."""
        agreed = self._agreed
        return agreed.wake_at if agreed is not None and not agreed.light and clock.plausible(agreed.wake_at) else None

    @property
    def away_s(self) -> int | None:
        """Seconds until then, for `Retry-After`."""
        return None if (at := self.wake_at) is None else max(1, round(at - time.time()))

    def check(self, jobs: Iterable[NewJob]) -> None:
        """Withdraw the agreement if one of `jobs` may run now. Raises Asleep unless the board sleeps lightly."""
        agreed = self._agreed
        if agreed is None or not any(job.power in agreed.classes for job in jobs):
            return
        self._withdraw("a job came that may run")
        if not agreed.light:
            at = agreed.wake_at if clock.plausible(agreed.wake_at) else None
            raise Asleep(awake_at=at, retry_after_s=_AGAIN_S)

    # ---- start and stop ----

    def start(self) -> None:
        """Listen for questions, and answer one that is there. Raises StorageError."""
        self._loop = asyncio.get_running_loop()
        try:
            for folder in (self._layout.sleep_ask.parent, self._layout.sleep_answer.parent):
                folder.mkdir(parents=True, exist_ok=True)
            self._layout.sleep_answer.unlink(missing_ok=True)
            self._watch = Watch(self._layout.sleep_ask.parent)
        except OSError as err:
            raise StorageError("questions of the governor cannot be heard", err) from err
        self._loop.add_reader(self._watch, self._heard)
        self._look()

    def stop(self) -> None:
        """Listen no more. An agreement stands: the board is on its way down."""
        loop, self._loop = self._loop, None
        if self._watch is not None and loop is not None:
            loop.remove_reader(self._watch)
            self._watch.close()
        if self._lapse is not None:
            self._lapse.cancel()
        for task in self._tasks:
            task.cancel()

    def committed(self) -> None:
        """Look whether a commit made a job that may run. Called in the thread of the ledger."""
        agreed, loop = self._agreed, self._loop
        if agreed is None or loop is None or loop.is_closed():
            return
        backlog = self._outbox.totals.backlog
        if any(backlog.get(power, 0) for power in agreed.classes):
            loop.call_soon_threadsafe(self._withdraw, "a job came that may run")

    # ---- inside ----

    def _heard(self) -> None:
        if self._watch is not None and self._watch.read().may_touch(self._layout.sleep_ask.name):
            self._look()

    def _look(self) -> None:
        ask = self._asked()
        if ask is None:  # the governor takes it back
            self._forget()
            return
        if self._agreed is not None and self._agreed.id == ask.id:
            return
        self._forget()
        task = asyncio.get_running_loop().create_task(self._consider(ask))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _asked(self) -> SleepAsk | None:
        try:
            ask = msgspec.json.decode(self._layout.sleep_ask.read_bytes(), type=SleepAsk)
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            return None
        return ask if ask.boot_id == boot_id() and process_alive(ask.pid) else None

    async def _consider(self, ask: SleepAsk) -> None:
        due_s: float | None = None
        try:
            due_s = await self._due_s(ask.classes)
        except EdgeError as err:  # if the ledger cannot be read, the board stays awake
            self._write(ask, agreed=False, why=f"what is due cannot be read: {err}")
            return
        use = Use(self._requests, self._readers(), time.monotonic() - self._used_s)
        why, again_s = objection(ask, use, backlog=self._outbox.totals.backlog, due_s=due_s, quiet_s=self._quiet_s)
        if why:
            self._write(ask, agreed=False, why=why, again_s=again_s)
            return
        self._agreed = ask  # before the answer: what comes from here on is looked at
        if not self._write(ask, agreed=True, due_s=due_s):
            self._forget()
        elif not ask.light:
            self._lapse = asyncio.get_running_loop().call_later(self._lapses_s, self._forget)
            log.info(
                "the board may sleep; it is awake again at %s", time.strftime("%H:%M", time.localtime(ask.wake_at))
            )

    async def _due_s(self, classes: tuple[Power, ...]) -> float | None:
        """Seconds until the next of these jobs or slots is due; without a known time only jobs with a delay count."""
        now, trusted = time.time(), clock.trusted_now() is not None

        def look(ledger: LedgerReader) -> list[float]:
            found = [at for at in ledger.next_due_of(classes, trusted=trusted) if at is not None]
            if trusted:
                found += [
                    row.due_at
                    for row in ledger.schedules.waiting()
                    if row.due_at is not None and (row.asked.power or self._class_of(row.asked.task)) in classes
                ]
            return found

        times = await self._outbox.look(look)
        return max(0.0, min(times) - now) if times else None

    def _withdraw(self, why: str) -> None:
        if (agreed := self._agreed) is not None:
            self._forget()
            self._write(agreed, agreed=False, why=why)

    def _forget(self) -> None:
        self._agreed = None
        if self._lapse is not None:
            self._lapse.cancel()
            self._lapse = None

    def _write(
        self, ask: SleepAsk, *, agreed: bool, why: str = "", due_s: float | None = None, again_s: float | None = None
    ) -> bool:
        answer = SleepAnswer(ask.id, boot_id(), os.getpid(), agreed, why, due_s, again_s)
        try:
            durable.replace_volatile(self._layout.sleep_answer, msgspec.json.encode(answer))
        except OSError as err:
            log.error("%s: %s; the board stays awake", self._layout.sleep_answer, err.strerror or err)
            return False
        return True
