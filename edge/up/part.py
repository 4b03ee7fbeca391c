"""Keeps one program of the stack running: starts it, restarts it when it ends, and stops it."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from typing import Literal

from edge.core.backoff import Backoff
from edge.core.errors import StackError, not_none
from edge.up.child import Child
from edge.up.lines import LineSplitter, StackLog

#: Pause before an ended part is restarted. It grows, because a restart every second would drain a battery.
RESTART = Backoff(first_s=1.0, most_s=30.0)
STEADY_S = 60.0  # a part that ran for this time is restarted with the shortest pause
#: Pauses between two checks whether a starting part is ready.
_LOOK = Backoff(first_s=0.02, most_s=0.5, factor=1.5)
CONFIG_ERROR = 2


class Part:
    """Keeps one program running. Belongs to the event loop."""

    def __init__(
        self,
        name: str,
        launch: Callable[[], Child],
        ready: Callable[[Child], Awaitable[bool]],
        *,
        lines: StackLog,
        grace_s: float,
        last_words: Callable[[], str] | None = None,
        began: Callable[[Child], bool] = lambda _child: False,
        insist_s: float | None = None,
        retired_codes: Collection[int] = (),
    ) -> None:
        """Describe the program; `start` or `run` starts it.

        Args:
            name: name of the program in the log.
            launch: starts the program.
            ready: returns whether the program is ready. It is called often during the start.
            lines: the common log.
            grace_s: seconds between SIGTERM and SIGKILL.
            last_words: returns why the program ended; by default its last line of output.
            began: called if the program ended before it was ready. Returns True if the program had begun its work,
                so that a restart makes sense.
            insist_s: repeat SIGTERM after this time, for a program that may miss the first one.
            retired_codes: exit codes with which the program ends on purpose, so that it is not started again.
        """
        self.name = name
        self.grace_s = grace_s
        self._insist_s, self._retired_codes = insist_s, retired_codes
        self._launch = launch
        self._ready = ready
        self._work_began = began
        self._lines = lines
        self._last_line = "it printed nothing"
        self._last_words = last_words or (lambda: self._last_line)
        self._child: Child | None = None
        self._ended: asyncio.Future[int] | None = None
        self._pipe: asyncio.ReadTransport | None = None
        self._output_ended = asyncio.Event()  # all output of the program has been read
        self._started = 0.0
        self.ready_s = 0.0  # duration of the last start

    @property
    def running(self) -> bool:
        """True while the process runs."""
        return self._ended is not None and not self._ended.done()

    @property
    def _process(self) -> Child:
        return not_none(self._child, f"the process of {self.name}")

    @property
    def _end(self) -> asyncio.Future[int]:
        return not_none(self._ended, f"the process of {self.name}")

    async def start(self, *, timeout_s: float) -> None:
        """Start the program, and return when it is ready.

        If it ends although it had begun its work, it is started again: one of its first jobs may have crashed it.

        Raises:
            StackError: the program ended before it began its work, or was not ready within `timeout_s` of a start.
        """
        pauses = RESTART.pauses()
        await self._start_child()
        while problem := await self._until_ready(time.monotonic() + timeout_s):
            if self.running or not self._work_began(self._process):
                raise StackError(f"{self.name} {problem}: {await self._why()}")
            await self._again(problem, next(pauses))

    async def keep(self) -> None:
        """Restart the program whenever it ends, until it retires. Raises StackError on a configuration error."""
        pauses = RESTART.pauses()
        while True:
            code = await asyncio.shield(self._end)
            if code == CONFIG_ERROR:
                raise PartMisconfigured(f"{self.name}: {await self._why()}")
            if code in self._retired_codes:
                await self._drain()
                return
            if time.monotonic() - self._started > STEADY_S:
                pauses = RESTART.pauses()
            await self._again(_ending(code), next(pauses))
            if not await self._until_ready(None):
                self._lines.say(f"{self.name} is back after {self.ready_s:.1f} s")

    async def run(self) -> None:
        """Start the program, and keep it running until it retires. Raises StackError on a configuration error."""
        await self._start_child()
        if not await self._until_ready(None):
            self._lines.say(f"{self.name} ready after {self.ready_s:.1f} s")
        await self.keep()

    async def wait_ended(self) -> str:
        """Wait until the program ends, and return how it ended, such as `ended with code 1`."""
        return _ending(await asyncio.shield(self._end))

    async def stop(self, hurry: asyncio.Event) -> None:
        """Stop the program with SIGTERM, and with SIGKILL after the grace or as soon as `hurry` is set."""
        child, ended = self._child, self._ended
        if child is None or ended is None:
            return
        deadline = time.monotonic() + self.grace_s
        hurried = asyncio.create_task(hurry.wait())
        either: set[asyncio.Future[int] | asyncio.Future[Literal[True]]] = {ended, hurried}
        while not ended.done() and not hurried.done() and (left_s := deadline - time.monotonic()) > 0:
            child.signal(signal.SIGTERM)
            child.signal(signal.SIGCONT)  # a frozen process cannot handle SIGTERM
            wait_s = min(left_s, self._insist_s or left_s)
            await asyncio.wait(either, timeout=wait_s, return_when=asyncio.FIRST_COMPLETED)
        hurried.cancel()
        if not ended.done():
            why = "a second signal came" if hurry.is_set() else f"it did not end in {self.grace_s:g} s"
            self._lines.say(f"killing {self.name}: {why}")
            child.kill()
            await ended
        await self._drain()

    async def _again(self, ending: str, pause_s: float) -> None:
        await self._drain()
        self._lines.say(f"{self.name} {ending}; starting it again in {pause_s:g} s")
        await asyncio.sleep(pause_s)
        await self._start_child()

    async def _start_child(self) -> None:
        loop = asyncio.get_running_loop()
        self._started = time.monotonic()
        child = self._child = self._launch()
        ended = self._ended = loop.create_future()

        def reap() -> None:
            code = child.wait(0)
            if code is not None:
                loop.remove_reader(child)
                child.close()
                ended.set_result(code)

        loop.add_reader(child, reap)
        if child.output is not None:
            output_ended = self._output_ended = asyncio.Event()
            splitter = LineSplitter(self._on_line, output_ended.set)
            self._pipe, _ = await loop.connect_read_pipe(lambda: splitter, child.output)

    async def _until_ready(self, deadline: float | None) -> str:
        """Wait until the program is ready, and return "", or what went wrong. The checks have growing intervals."""
        ended, looks = self._end, _LOOK.pauses()
        while not ended.done():
            if await self._ready(self._process):
                self.ready_s = time.monotonic() - self._started
                return ""
            if deadline is not None and time.monotonic() > deadline:
                return "does not get ready"
            await asyncio.wait({ended}, timeout=next(looks))
        if ended.result() == CONFIG_ERROR:
            raise PartMisconfigured(f"{self.name}: {await self._why()}")
        return _ending(ended.result())

    async def _why(self) -> str:
        """Return why the program ended. The rest of its output is read first, because it may hold the reason."""
        if not self.running:
            await self._drain()
        return self._last_words()

    async def _drain(self) -> None:
        """Read the rest of the output of an ended process, and close the pipe.

        The wait has a limit, because a grandchild may keep the other end open.
        """
        if self._pipe is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(1.0):
                    await self._output_ended.wait()
            self._pipe.close()
            self._pipe = None

    def _on_line(self, line: str) -> None:
        if line:
            self._last_line = line
        self._lines.say(line, name=self.name)


def ready_when(check: Callable[[], bool]) -> Callable[[Child], Awaitable[bool]]:
    """Return a check of readiness for a part, made from a check that needs no child."""

    async def ready(child: Child) -> bool:
        del child
        return check()

    return ready


class PartMisconfigured(StackError):
    """A part refused its configuration. A restart would not help."""

    exit_code = CONFIG_ERROR


def _ending(code: int) -> str:
    if code >= 0:
        return f"ended with code {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"
