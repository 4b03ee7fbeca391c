"""Agrees to a sleep of the board, or gives the reason against it: jobs that may run, or people who use the board.

The governor asks with a file. If `power.sleep.when` is `never`, nothing is watched and nothing runs. Between two
questions nothing wakes up. After the gateway has agreed, it refuses a job that could run now with `Asleep`, and
withdraws the agreement. The board then stays awake if the shutdown has not begun, and the client tries again.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable, Iterable, Mapping

import msgspec

from edge.config import Config
from edge.core import clock, durable, stored
from edge.core.errors import Asleep, EdgeError, StorageError
from edge.core.host import boot_id, process_alive
from edge.core.text import duration
from edge.core.watch import Watch
from edge.gateway.background.outbox import Outbox
from edge.ledger.reader import LedgerReader
from edge.ledger.rows import NewJob
from edge.model import Power, SleepAnswer, SleepAsk

log = logging.getLogger(__name__)

#: An agreement expires after this time plus the grace time of the jobs, if the governor does not act on it.
_LAPSES_S = 120.0
#: `Retry-After` in seconds for a refused job. By then the board either stays awake or is off.
_AGAIN_S = 3


class Use(msgspec.Struct, frozen=True):
    """How people and programs use the board now."""

    requests: int = 0  # requests that are being answered, including uploads and waits
    readers: int = 0  # readers of events
    rested_s: float = 0.0  # time since the last authorised request


def objection(
    ask: SleepAsk, use: Use, *, backlog: Mapping[Power, int], due_s: float | None, quiet_s: float
) -> tuple[str, float | None]:
    """Return the reason against the sleep, and in how many seconds it may be gone, or None if that is not known.

    Without a reason against the sleep the answer is ("", None).

    Args:
        ask: the question of the governor.
        use: how the board is used now.
        backlog: the number of open jobs by power class.
        due_s: seconds until the next job or slot is due, or None if there is none.
        quiet_s: shortest time without requests before a sleep.
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
    """Answers the question of the governor whether the board may sleep.

    Belongs to the event loop; only `committed` is called in the thread of the ledger.
    """

    def __init__(
        self,
        config: Config,
        outbox: Outbox,
        *,
        readers: Callable[[], int],
        class_of: Callable[[str], Power],
    ) -> None:
        """`readers` returns the number of readers of events; `class_of` returns the default power class of a kind."""
        self._layout, self._outbox = config.layout, outbox
        self._quiet_s, self._lapses_s = config.power.sleep.quiet_s, _LAPSES_S + config.power.critical.grace_s
        self._readers, self._class_of = readers, class_of
        self._watch: Watch | None = None
        self._agreed: SleepAsk | None = None
        self._lapse: asyncio.TimerHandle | None = None
        self._tasks = set[asyncio.Task[None]]()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._requests, self._used_s = 0, time.monotonic()

    # ---- use of the board ----

    def began(self) -> None:
        """Note that a request begins."""
        self._requests += 1

    def ended(self, *, allowed: bool) -> None:
        """Note that a request was answered. A request that was not `allowed` does not count as use of the board."""
        self._requests -= 1
        if allowed:
            self._used_s = time.monotonic()

    # ---- for submitters ----

    @property
    def wake_at(self) -> float | None:
        """Time at which the board wakes, in epoch seconds. None unless it is about to go down and knows the time."""
        agreed = self._agreed
        return agreed.wake_at if agreed is not None and not agreed.light and clock.plausible(agreed.wake_at) else None

    @property
    def away_s(self) -> int | None:
        """Seconds until `wake_at`, for `Retry-After`, or None if `wake_at` is None."""
        return None if (at := self.wake_at) is None else max(1, round(at - time.time()))

    def check(self, jobs: Iterable[NewJob]) -> None:
        """Withdraw the agreement if one of `jobs` may run now. Then raises Asleep, unless it was for a light sleep."""
        agreed = self._agreed
        if agreed is None or not any(job.power in agreed.classes for job in jobs):
            return
        self._withdraw("a job came that may run")
        if not agreed.light:
            at = agreed.wake_at if clock.plausible(agreed.wake_at) else None
            raise Asleep(awake_at=at, retry_after_s=_AGAIN_S)

    # ---- start and stop ----

    def start(self) -> None:
        """Watch for questions, and answer one that is already there. Raises StorageError."""
        self._loop = asyncio.get_running_loop()
        try:
            for folder in (self._layout.sleep_ask.parent, self._layout.sleep_answer.parent):
                folder.mkdir(parents=True, exist_ok=True)
            self._layout.sleep_answer.unlink(missing_ok=True)
            self._watch = Watch(self._layout.sleep_ask.parent)
        except OSError as err:
            raise StorageError("cannot watch for questions of the governor", err) from err
        self._loop.add_reader(self._watch, self._on_change)
        self._look()

    def stop(self) -> None:
        """Stop watching. An agreement stays valid, because the board may be shutting down."""
        loop, self._loop = self._loop, None
        if self._watch is not None and loop is not None:
            loop.remove_reader(self._watch)
            self._watch.close()
        if self._lapse is not None:
            self._lapse.cancel()
        for task in self._tasks:
            task.cancel()

    def committed(self) -> None:
        """Withdraw the agreement if there are jobs that may run now. Called in the thread of the ledger."""
        agreed, loop = self._agreed, self._loop
        if agreed is None or loop is None or loop.is_closed():
            return
        backlog = self._outbox.totals.backlog
        if any(backlog.get(power, 0) for power in agreed.classes):
            loop.call_soon_threadsafe(self._withdraw, "a job came that may run")

    # ---- inside ----

    def _on_change(self) -> None:
        if self._watch is not None and self._watch.read().may_touch(self._layout.sleep_ask.name):
            self._look()

    def _look(self) -> None:
        ask = self._read_question()
        if ask is None:  # the governor has withdrawn its question
            self._forget()
            return
        if self._agreed is not None and self._agreed.id == ask.id:
            return
        self._forget()
        task = asyncio.get_running_loop().create_task(self._consider(ask))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _read_question(self) -> SleepAsk | None:
        """Return the question of a governor that runs, or None if there is no such question."""
        try:
            ask = stored.read(self._layout.sleep_ask, SleepAsk)
        except (OSError, stored.BadContent):
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
        self._agreed = ask  # before the answer is written, so that jobs from here on withdraw the agreement
        if not self._write(ask, agreed=True, due_s=due_s):
            self._forget()
        elif not ask.light:
            self._lapse = asyncio.get_running_loop().call_later(self._lapses_s, self._forget)
            log.info(
                "the board may sleep; it is awake again at %s", time.strftime("%H:%M", time.localtime(ask.wake_at))
            )

    async def _due_s(self, classes: tuple[Power, ...]) -> float | None:
        """Return the seconds until the next job or slot of these classes is due, or None if there is none.

        If the board does not know the time, only jobs with a delay count.
        """
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
