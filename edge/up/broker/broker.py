"""Runs the broker of `edge up`: starts it on a working store, and restarts it if it ends or its queues do not work."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress

from edge.core import durable
from edge.core.backoff import Backoff
from edge.core.errors import QueueSilent, StackError, not_none
from edge.core.layout import Layout
from edge.up import hint
from edge.up.broker.node import PrivateNode, Unwritable
from edge.up.broker.ports import free_ports
from edge.up.broker.restart_requests import RestartRequests
from edge.up.lines import StackLog
from edge.up.part import RESTART, STEADY_S, Part, PartMisconfigured, ready_when
from edge.up.settings import overrides

BROKER_S = 90.0  # a Pi Zero boots RabbitMQ in about a minute
#: A large store needs longer to start, and must not count as damaged.
OLD_STORE_S = 300.0
EPMD_S = 60.0
#: Shortest time between two requested restarts.
_RESTART_REQUESTED = Backoff(first_s=15.0, most_s=3600.0, factor=4.0)
CALM_S = 120.0  # if no request came for this time, the last restart helped, and the pauses start again at the shortest
#: Number of failed starts in a row after which the store of a broker that once ran counts as damaged.
TRIES = 3
ROOM_BYTES = 32 << 20


class StoreSilent(StackError):
    """The broker has started, but a queue of its store does not answer."""


class Broker:
    """Runs port mapper and broker, and decides when the store of the broker is replaced. Belongs to the event loop."""

    def __init__(
        self, layout: Layout, node: PrivateNode, lines: StackLog, *, env: Mapping[str, str], hurry: asyncio.Event
    ) -> None:
        self._node, self._lines, self._env, self._hurry = node, lines, env, hurry
        self._folder, self._answer = layout.complaints, layout.broker_restarted
        self.epmd = Part("epmd", node.launch_epmd, ready_when(lambda: node.epmd_answers), lines=lines, grace_s=2.0)
        self.part = Part(
            "broker",
            node.launch_broker,
            ready_when(lambda: node.answers),
            lines=lines,
            grace_s=30.0,
            last_words=node.last_words,
            insist_s=1.0,  # the Erlang virtual machine misses a SIGTERM while it boots
        )
        self.ready_s = 0.0  # duration of the start, repairs included

    async def start(self) -> None:
        """Start the broker, and check that every queue answers. A store that does not work is replaced.

        The node must be prepared. The call waits while the disk is full.

        Raises:
            StackError: the broker does not start, and a new store does not help.
        """
        started = time.monotonic()
        node, say = self._node, self._lines.say
        say(f"starting the broker on port {node.ports.amqp}; its log: {hint.short(node.log)}")
        await self.epmd.start(timeout_s=EPMD_S)
        while True:
            await self._wait_for_space()
            try:
                try:
                    await self._try_store()
                except (PartMisconfigured, Unwritable):
                    raise
                except StackError as err:
                    await self._replace_store(err)
                break
            except StackError as err:
                if isinstance(err, PartMisconfigured) or durable.has_free_space(node.base, ROOM_BYTES):
                    raise
                say(str(err))
                await self.part.stop(self._hurry)
        self.ready_s = time.monotonic() - started
        say(f"broker ready after {self.ready_s:.1f} s")

    async def keep(self) -> None:
        """Restart the broker whenever it ends or a process requests it. Runs until it is cancelled."""
        requests = RestartRequests(self._folder)
        restarts, restarted_at = 0, float("-inf")
        pauses = RESTART.pauses()
        try:
            while True:
                began = time.monotonic()
                why = await self._reason(requests)
                now = time.monotonic()
                if self.part.running:
                    if now - restarted_at > CALM_S:
                        restarts = 0
                    pause_s = max(0.0, restarted_at + _RESTART_REQUESTED.pause_s(restarts) - now)
                else:
                    if now - began > STEADY_S:
                        pauses = RESTART.pauses()
                    pause_s = next(pauses)
                self._lines.say(f"{why}; starting it again{f' in {pause_s:.0f} s' if pause_s else ''}")
                await self._pause(pause_s)
                if self.part.running:
                    if not requests.standing():
                        self._lines.say("the broker works again by itself")
                        continue
                    restarts += 1
                await self._restart(requests)
                restarted_at = time.monotonic()
        finally:
            requests.close()

    async def _reason(self, requests: RestartRequests) -> str:
        """Wait until the broker has ended or a restart is requested, and return the reason."""
        ended = asyncio.create_task(self.part.wait_ended())
        requested = asyncio.create_task(requests.wait())
        try:
            await asyncio.wait({ended, requested}, return_when=asyncio.FIRST_COMPLETED)
            if ended.done():
                return f"broker {ended.result()}"
            return f"the broker's queues do not work: {await requested}"
        finally:
            ended.cancel()
            requested.cancel()

    async def _pause(self, seconds: float) -> None:
        """Wait for `seconds`. If a running broker ends, return at once, because that is more urgent than a request."""
        if not self.part.running:
            await asyncio.sleep(seconds)
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.part.wait_ended()

    async def _restart(self, requests: RestartRequests) -> None:
        """Restart the broker until every queue answers, with a new store if nothing else helps."""
        began = time.monotonic()
        failed = 0
        while True:
            await self._wait_for_space()
            try:
                if requests.standing():
                    durable.replace_volatile(self._answer, f"{time.monotonic_ns()}\n".encode())
                requests.clear()
                await self.part.stop(self._hurry)
                await self._try_store()
                break
            except StackError as err:
                why = err
            except OSError as err:
                why = Unwritable(f"{err.filename or self._answer}: {err.strerror or err}")
            failed += 1
            if isinstance(why, StoreSilent) or (failed % TRIES == 0 and not isinstance(why, Unwritable)):
                try:
                    await self._replace_store(why)
                    break
                except StackError as err:
                    why = err
            pause_s = RESTART.pause_s(failed)
            self._lines.say(f"{why}; trying again in {pause_s:g} s")
            await asyncio.sleep(pause_s)
        requests.clear()  # they were written before the restart
        self._lines.say(f"broker is back after {time.monotonic() - began:.1f} s")

    async def _wait_for_space(self) -> None:
        """Wait until the disk has room. On a full disk the broker would damage its store further."""
        pauses = RESTART.pauses()
        logged = False
        while not durable.has_free_space(self._node.base, ROOM_BYTES):
            if not logged:
                self._lines.say("the broker waits for room on the disk")
            logged = True
            await asyncio.sleep(next(pauses))

    async def _try_store(self) -> None:
        """Start the broker on its store, or on a new one if there is none, and check each queue. Raises StackError."""
        if not self._node.settled:
            await self._make_store()
        self._node.listen(self._node.ports.amqp)
        await self.part.start(timeout_s=OLD_STORE_S)
        if problem := await self._run_check("edge.up.broker.check", bad=QueueSilent.exit_code):
            raise StoreSilent(problem)

    async def _make_store(self) -> None:
        """Make a store with its queues, and make it durable before any job comes.

        The broker uses a port that gateway and workers do not know. Otherwise they would declare the same queues at the
        same time, and RabbitMQ may then leave a queue without a leader.
        """
        self._lines.say("first start: the broker makes its queues, then restarts so that they are safe on the disk")
        (port,) = free_ports(1)
        self._node.listen(port)
        await self.part.start(timeout_s=BROKER_S)
        if problem := await self._run_check("edge.up.broker.declare", port=port):
            raise StackError(problem)
        await self.part.stop(self._hurry)
        self._node.settle()

    async def _replace_store(self, why: StackError) -> None:
        """Set the store aside, and start on a new one, which the gateway fills from its ledger.

        If that fails too, or is interrupted, the old store is put back. After a failure, `why` is raised.
        """
        if not self._node.settled:
            raise why
        self._lines.say(f"the broker's store does not work: {why}")
        await self.part.stop(self._hurry)
        aside = not_none(self._node.set_aside(str(why)), "the store that was set aside")
        self._lines.say(f"it is kept as {aside.name}; a new one gets every open job of the ledger")
        try:
            await self._try_store()
        except BaseException as err:  # also a Ctrl-C
            await self.part.stop(self._hurry)
            self._node.put_back(aside)
            if isinstance(err, StackError):
                raise why from None
            raise

    async def _run_check(self, module: str, *, bad: int | None = None, port: int | None = None) -> str:
        """Run a module as a program, and return the last line of its errors if it failed, else "".

        Args:
            module: name of the module.
            bad: the only exit code that counts as failed, or None if every code but 0 does. The last line of another
                failure is logged.
            port: port of the broker, if it is not the configured one.
        """
        argv = [sys.executable, "-m", module]
        env = {**self._env, **overrides(None, port)}
        done = await asyncio.to_thread(
            subprocess.run, argv, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        if done.returncode == 0:
            return ""
        problem = (done.stderr.splitlines() or [f"{module} ended with {done.returncode}"])[-1]
        if bad in (None, done.returncode):
            return problem
        self._lines.say(problem)
        return ""
