"""Starts the parts of the appliance in order, keeps them running, stops them in order."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial

from edge.config import Loaded
from edge.errors import QueueSilent, StackError
from edge.notify import notify
from edge.up import hint, readiness
from edge.up.child import Child
from edge.up.lines import Lines
from edge.up.node import Node
from edge.up.part import Part, PartMisconfigured
from edge.up.ports import check_free

BROKER_S = 90.0  # a Pi Zero boots RabbitMQ in about a minute
#: A big store takes its time, and must not be taken for a damaged one.
OLD_STORE_S = 300.0
PART_S = 60.0
SILENT = QueueSilent.exit_code


class Stack:
    """The five programs of a private appliance under one event loop."""

    def __init__(self, loaded: Loaded, node: Node, lines: Lines, *, env: dict[str, str]) -> None:
        config = loaded.config
        self._config, self._node, self._lines = config, node, lines
        self._url = hint.url(config.gateway)
        self._hurry = asyncio.Event()
        self._broker_s = 0.0
        self._env = {key: value for key, value in env.items() if key != "NOTIFY_SOCKET"}
        self._env |= {"EDGE_CONFIG": str(loaded.path), "PYTHONUNBUFFERED": "1"}
        worker_grace_s = config.worker.stop_grace_s + 5.0
        broker_words = node.last_words
        self._epmd = Part("epmd", node.launch_epmd, _at_once(lambda: node.epmd_answers), lines=lines, grace_s=2.0)
        self._broker = Part(
            "broker",
            node.launch_broker,
            _at_once(lambda: node.answers),
            lines=lines,
            grace_s=30.0,
            last_words=broker_words,
        )
        self._gateway = self._python("gateway", partial(readiness.gateway, config.gateway), grace_s=10.0)
        self._governor = self._python("governor", partial(readiness.governor, config), module="edge.power", grace_s=5.0)
        self._worker = self._python(
            "worker",
            partial(readiness.worker, config),
            grace_s=worker_grace_s,
            began=partial(readiness.worker_began, config),
        )
        self._parts = (self._epmd, self._broker, self._gateway, self._governor, self._worker)

    async def run(self) -> None:
        """Run until SIGINT or SIGTERM; everything is stopped when this returns or raises StackError."""
        stop, hurry = asyncio.Event(), self._hurry
        loop = asyncio.get_running_loop()

        def signalled() -> None:
            (hurry if stop.is_set() else stop).set()

        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, signalled)
        work = asyncio.create_task(self._work())
        stopped = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({work, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                await work
        finally:
            stop.set()  # from here on a signal means: hurry
            for task in (work, stopped):
                task.cancel()
            await asyncio.gather(work, stopped, return_exceptions=True)
            notify(STOPPING="1")
            await self._stop()

    async def _work(self) -> None:
        started = time.monotonic()
        check_free(self._config.gateway.host, self._config.gateway.port, key="gateway.port")
        await self._broker_up()
        own = (self._gateway, self._governor, self._worker)
        await _together(*(part.start(timeout_s=PART_S) for part in own))
        for part in own:
            self._lines.say(f"{part.name} ready after {part.ready_s:.1f} s")
        self._ready(time.monotonic() - started)
        await _together(*(part.keep() for part in self._parts))

    def _ready(self, seconds: float) -> None:
        self._lines.plain("")
        self._lines.say(
            f"ready after {seconds:.1f} s: {self._url}   (state: {hint.short(self._config.root)}; Ctrl-C stops all)"
        )
        for line in hint.how_to_submit(self._url, certificate=self._config.gateway.tls_cert):
            self._lines.say(f"  {line}")
        self._lines.plain("")
        notify(
            READY="1",
            STATUS=f"ready at {self._url}",
            X_EDGE_URL=self._url,
            X_EDGE_BROKER_S=f"{self._broker_s:.3f}",
            X_EDGE_GATEWAY_S=f"{self._gateway.ready_s:.3f}",
            X_EDGE_WORKER_S=f"{self._worker.ready_s:.3f}",
        )

    async def _broker_up(self) -> None:
        """A broker whose every queue answers, with a new store in place of one that no longer works."""
        started = time.monotonic()
        if not self._node.settled and (aside := self._node.set_aside("the first start ended before it was safe")):
            self._lines.say(f"the last start ended before the store was safe; it is empty, and kept as {aside.name}")
        self._node.prepare()
        self._lines.say(f"starting the broker on port {self._node.ports.amqp}; its log: {hint.short(self._node.log)}")
        await self._epmd.start(timeout_s=PART_S)
        try:
            await self._try_store()
        except PartMisconfigured:
            raise
        except StackError as err:
            await self._heal(err)
        self._broker_s = time.monotonic() - started
        self._lines.say(f"broker ready after {self._broker_s:.1f} s")

    async def _try_store(self) -> None:
        """Start the broker on the store as it is; a new one is settled before any job comes. Raises StackError."""
        await self._broker.start(timeout_s=OLD_STORE_S if self._node.settled else BROKER_S)
        if not self._node.settled:
            self._lines.say("first start: the broker makes its queues, then starts once more to have them safe on disk")
            if problem := await self._ask_broker("edge.up.declare"):
                raise StackError(problem)
            await self._broker.stop(self._hurry)
            self._node.settle()
            await self._broker.start(timeout_s=BROKER_S)
        elif problem := await self._ask_broker("edge.up.check", bad=SILENT):
            raise StackError(problem)

    async def _heal(self, why: StackError) -> None:
        """Put the store aside and start on a new one, which the gateway fills again from its ledger.

        When that does not work either the store was not at fault: it comes back, and `why` is raised.
        """
        if not self._node.settled:
            raise why
        self._lines.say(f"the broker's store does not work: {why}")
        await self._broker.stop(self._hurry)
        aside = self._node.set_aside(str(why))
        assert aside is not None
        self._lines.say(f"it is kept as {aside.name}; a new one gets every open job of the ledger")
        try:
            await self._try_store()
        except StackError:
            await self._broker.stop(self._hurry)
            self._node.put_back(aside)
            raise why from None

    async def _ask_broker(self, module: str, *, bad: int | None = None) -> str:
        """Run one of our questions to the broker; what it said when it ended with `bad` (None: with any fault)."""
        argv = [sys.executable, "-m", module]
        done = await asyncio.to_thread(
            subprocess.run, argv, env=self._env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        if done.returncode == 0:
            return ""
        said = (done.stderr.splitlines() or [f"{module} ended with {done.returncode}"])[-1]
        if bad in (None, done.returncode):
            return said
        self._lines.say(said)
        return ""

    async def _stop(self) -> None:
        parts = (self._worker, self._gateway, self._governor, self._broker, self._epmd)
        began = any(part.running for part in parts)
        for part in parts:
            if part.running:
                self._lines.say(f"stopping {part.name}")
                await part.stop(self._hurry)
        if began:
            self._lines.say("stopped")

    def _python(
        self,
        name: str,
        ready: Callable[[Child], Awaitable[bool]],
        *,
        grace_s: float,
        module: str = "",
        began: Callable[[Child], bool] = lambda _child: False,
    ) -> Part:
        argv = [sys.executable, "-m", module or f"edge.{name}"]

        def launch() -> Child:
            return Child(argv, env=self._env, output=subprocess.PIPE)

        return Part(name, launch, ready, lines=self._lines, grace_s=grace_s, began=began)


async def _together(*work: Coroutine[None, None, None]) -> None:
    """Run all; the first that fails ends the others, and its own error comes out."""
    try:
        async with asyncio.TaskGroup() as group:
            for each in work:
                group.create_task(each)
    except ExceptionGroup as err:
        raise err.exceptions[0] from err


def _at_once(check: Callable[[], bool]) -> Callable[[Child], Awaitable[bool]]:
    """A check of the node, for a part that awaits one."""

    async def ready(child: Child) -> bool:
        del child
        return check()

    return ready
