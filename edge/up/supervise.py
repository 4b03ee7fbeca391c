"""Starts the parts of the appliance in order, keeps them running, and stops them in order."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial

from edge.config import Loaded
from edge.core import durable
from edge.core.notify import notify
from edge.model import KnownQueues
from edge.up import hint, readiness
from edge.up.broker.broker import ROOM_BYTES, Broker
from edge.up.broker.node import PrivateNode, Unwritable
from edge.up.broker.ports import check_free
from edge.up.child import Child
from edge.up.lines import StackLog
from edge.up.part import RESTART, Part
from edge.up.scaled import ScaledWorkers
from edge.up.worker_part import worker_part

PART_S = 150.0  # longer than the gateway's limit for the import of the tasks, so that the gateway names a late one


class Stack:
    """Runs the programs of a private appliance: port mapper, broker, gateway, governor and workers.

    Belongs to one event loop, in the main thread.
    """

    def __init__(self, loaded: Loaded, node: PrivateNode, lines: StackLog, *, env: dict[str, str]) -> None:
        config = loaded.config
        self._config, self._node, self._lines = config, node, lines
        self._url = hint.url(config.gateway)
        self._hurry, self._accepting = asyncio.Event(), asyncio.Event()
        self._accepting_s = 0.0
        self._env = {key: value for key, value in env.items() if key != "NOTIFY_SOCKET"}
        self._env |= {"EDGE_CONFIG": str(loaded.path), "PYTHONUNBUFFERED": "1"}
        self._broker = Broker(config.layout, node, lines, env=self._env, hurry=self._hurry)
        self._gateway = self._python("gateway", partial(readiness.gateway, config.gateway), grace_s=10.0)
        self._governor = self._python("governor", partial(readiness.governor, config), module="edge.power", grace_s=5.0)
        self._workers = [self._worker(entry.name) for entry in config.planned(io=False) if not entry.scaled]
        self._scaled = ScaledWorkers(config, self._worker, lines)

    async def run(self) -> None:
        """Run until SIGINT or SIGTERM. Everything is stopped when this returns or raises StackError."""
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
            stop.set()  # from here on, a signal shortens the stop
            for task in (work, stopped):
                task.cancel()
            await asyncio.gather(work, stopped, return_exceptions=True)
            notify(STOPPING="1")
            await self._stop()

    async def _work(self) -> None:
        started = time.monotonic()
        check_free(self._config.gateway.host, self._config.gateway.port, key="gateway.port")
        for pause_s in RESTART.pauses():
            try:
                await asyncio.to_thread(self._prepare)
                break
            except Unwritable as err:
                if durable.has_free_space(self._config.root, ROOM_BYTES):
                    raise  # the file belongs to another user, or the card fails: waiting does not help
                self._lines.say(f"{err}; trying again in {pause_s:g} s")
                await asyncio.sleep(pause_s)
        # The gateway accepts jobs while the broker boots. They wait in the ledger, which is durable.
        await _together(self._accept(started), self._run_jobs(started))

    def _prepare(self) -> None:
        if not self._node.settled and (aside := self._node.set_aside("the first start ended before it was safe")):
            self._lines.say(f"the last start ended before the store was safe; it is empty, and kept as {aside.name}")
        self._node.prepare()

    async def _accept(self, started: float) -> None:
        await _together(*(part.start(timeout_s=PART_S) for part in (self._gateway, self._governor)))
        self._accepting_s = time.monotonic() - started
        self._accepting.set()
        self._lines.say(f"governor ready after {self._governor.ready_s:.1f} s")
        self._lines.say(f"gateway ready after {self._gateway.ready_s:.1f} s: jobs are accepted")
        await _together(self._gateway.keep(), self._governor.keep())

    async def _run_jobs(self, started: float) -> None:
        await self._broker.start()
        await _together(*(self._start_worker(worker) for worker in self._workers))
        await self._accepting.wait()
        # The gateway has read the tasks by now. A kind may need a worker that the configuration does not name.
        io = bool(KnownQueues.read(self._config.layout.queues).io)
        known = {entry.name for entry in self._config.planned(io=False)}
        for entry in [each for each in self._config.planned(io=io) if each.name not in known]:
            worker = self._worker(entry.name)
            self._workers.append(worker)
            await self._start_worker(worker)
        self._ready(time.monotonic() - started)
        scaled = [self._scaled.run()] if self._config.scaled else []
        kept = (worker.keep() for worker in self._workers)
        await _together(self._broker.epmd.keep(), self._broker.keep(), *kept, *scaled)

    async def _start_worker(self, worker: Part) -> None:
        await worker.start(timeout_s=PART_S)
        self._lines.say(f"{worker.name} ready after {worker.ready_s:.1f} s")

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
            X_EDGE_BROKER_S=f"{self._broker.ready_s:.3f}",
            X_EDGE_ACCEPTING_S=f"{self._accepting_s:.3f}",
            X_EDGE_GATEWAY_S=f"{self._gateway.ready_s:.3f}",
            X_EDGE_WORKER_S=f"{self._workers[0].ready_s if self._workers else 0.0:.3f}",
        )

    async def _stop(self) -> None:
        parts = (self._gateway, self._governor, self._broker.part, self._broker.epmd)
        workers = (*self._workers, *self._scaled.parts)
        began = any(part.running for part in (*workers, *parts))
        await asyncio.gather(*(self._end(worker) for worker in workers))
        for part in parts:
            await self._end(part)
        if began:
            self._lines.say("stopped")

    async def _end(self, part: Part) -> None:
        if part.running:
            self._lines.say(f"stopping {part.name}")
            await part.stop(self._hurry)

    def _worker(self, name: str) -> Part:
        return worker_part(self._config, name, env=self._env, lines=self._lines)

    def _python(
        self,
        name: str,
        ready: Callable[[Child], Awaitable[bool]],
        *,
        grace_s: float,
        module: str = "",
    ) -> Part:
        argv = [sys.executable, "-m", module or f"edge.{name}"]

        def launch() -> Child:
            return Child(argv, env=self._env, output=subprocess.PIPE)

        return Part(name, launch, ready, lines=self._lines, grace_s=grace_s)


async def _together(*work: Coroutine[None, None, None]) -> None:
    """Run all coroutines. If one fails, cancel the others and raise its error."""
    try:
        async with asyncio.TaskGroup() as group:
            for each in work:
                group.create_task(each)
    except ExceptionGroup as err:
        raise err.exceptions[0] from err
