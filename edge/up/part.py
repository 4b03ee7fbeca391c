"""One program of the stack: started, watched, started again when it ends, stopped."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from typing import Literal

from edge.core.backoff import Backoff
from edge.core.errors import StackError, given
from edge.up.child import Child
from edge.up.lines import LineSplitter, StackLog

#: Pause before an ended part is restarted. It grows, because a restart every second would drain a battery.
RESTART = Backoff(first_s=1.0, most_s=30.0)
STEADY_S = 60.0  # a part that ran for this long is restarted with the shortest pause
#: Between two looks whether a part is ready, while it starts.
_LOOK = Backoff(first_s=0.02, most_s=0.5, factor=1.5)
CONFIG_ERROR = 2


class Part:
    """A program that is kept running. Belongs to the event loop.

    `launch` starts it. `ready` returns whether it is ready; it is called often during the start. `began` returns
    whether a program that ended before it was ready is worth another start. With `insist_s` SIGTERM is repeated after
    that many seconds, for a program that may lose the first one. With an exit code of `leaves` it has left on purpose.
    """

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
        leaves: Collection[int] = (),
    ) -> None:
        self.name = name
        self.grace_s = grace_s
        self._insist_s, self._leaves = insist_s, leaves
        self._launch = launch
        self._ready = ready
        self._began = began
        self._lines = lines
        self._last_line = "it printed nothing"
        self._last_words = last_words or (lambda: self._last_line)
        self._child: Child | None = None
        self._ended: asyncio.Future[int] | None = None
        self._pipe: asyncio.ReadTransport | None = None
        self._silent = asyncio.Event()  # its output has been read to the end
        self._started = 0.0
        self.ready_s = 0.0  # how long its last start took

    @property
    def running(self) -> bool:
        """True while its process lives."""
        return self._ended is not None and not self._ended.done()

    @property
    def _process(self) -> Child:
        return given(self._child, f"the process of {self.name}")

    @property
    def _end(self) -> asyncio.Future[int]:
        return given(self._ended, f"the process of {self.name}")

    async def start(self, *, timeout_s: float) -> None:
        """Start it and return when it is ready; raises StackError when it ends first or stays silent.

        One that had begun its work is started again instead: the first of its jobs may have taken it down.
        """
        pauses = RESTART.pauses()
        await self._begin()
        while problem := await self._until_ready(time.monotonic() + timeout_s):
            if self.running or not self._began(self._process):
                raise StackError(f"{self.name} {problem}: {await self._why()}")
            await self._again(problem, next(pauses))

    async def keep(self) -> None:
        """Start it again whenever it ends, until it leaves; raises StackError on a configuration error."""
        pauses = RESTART.pauses()
        while True:
            code = await asyncio.shield(self._end)
            if code == CONFIG_ERROR:
                raise PartMisconfigured(f"{self.name}: {await self._why()}")
            if code in self._leaves:
                await self._drain()
                return
            if time.monotonic() - self._started > STEADY_S:
                pauses = RESTART.pauses()
            await self._again(_ending(code), next(pauses))
            if not await self._until_ready(None):
                self._lines.say(f"{self.name} is back after {self.ready_s:.1f} s")

    async def run(self) -> None:
        """Start it, and keep it until it leaves; raises StackError on a configuration error."""
        await self._begin()
        if not await self._until_ready(None):
            self._lines.say(f"{self.name} ready after {self.ready_s:.1f} s")
        await self.keep()

    async def end(self) -> str:
        """Wait for its end; how it ended."""
        return _ending(await asyncio.shield(self._end))

    async def stop(self, hurry: asyncio.Event) -> None:
        """SIGTERM, then SIGKILL after the grace or as soon as `hurry` is set."""
        child, ended = self._child, self._ended
        if child is None or ended is None:
            return
        deadline = time.monotonic() + self.grace_s
        hurried = asyncio.create_task(hurry.wait())
        either: set[asyncio.Future[int] | asyncio.Future[Literal[True]]] = {ended, hurried}
        while not ended.done() and not hurried.done() and (left_s := deadline - time.monotonic()) > 0:
            child.signal(signal.SIGTERM)
            child.signal(signal.SIGCONT)  # a frozen one could not handle SIGTERM
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
        await self._begin()

    async def _begin(self) -> None:
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
            silent = self._silent = asyncio.Event()
            splitter = LineSplitter(self._said, silent.set)
            self._pipe, _ = await loop.connect_read_pipe(lambda: splitter, child.output)

    async def _until_ready(self, deadline: float | None) -> str:
        """Empty when ready, else what went wrong; asks at growing intervals, only while it starts."""
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
        """Return its last line of output; the process may end before all of its output was read."""
        if not self.running:
            await self._drain()
        return self._last_words()

    async def _drain(self) -> None:
        """Read what an ended process left in its pipe, and close it; a grandchild may hold the other end."""
        if self._pipe is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(1.0):
                    await self._silent.wait()
            self._pipe.close()
            self._pipe = None

    def _said(self, line: str) -> None:
        if line:
            self._last_line = line
        self._lines.say(line, name=self.name)


def at_once(check: Callable[[], bool]) -> Callable[[Child], Awaitable[bool]]:
    """A check that needs no child, for a part that awaits one with it."""

    async def ready(child: Child) -> bool:
        del child
        return check()

    return ready


class PartMisconfigured(StackError):
    """A part refused its configuration: starting it again would not help."""

    exit_code = CONFIG_ERROR


def _ending(code: int) -> str:
    if code >= 0:
        return f"ended with code {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"
