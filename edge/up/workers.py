"""Runs `edge worker --all`: the workers in the list `workers`, and the scaled ones, in one container."""

from __future__ import annotations

import asyncio
import os
import signal
import sys

from edge.config import Config, Loaded
from edge.model import KnownQueues
from edge.up.lines import StackLog
from edge.up.scaled import ScaledWorkers
from edge.up.worker_part import worker_part


def main(loaded: Loaded) -> int:
    """Keep all workers running until SIGINT or SIGTERM. Raises StackError if a worker refuses its configuration."""
    env = {key: value for key, value in os.environ.items() if key != "NOTIFY_SOCKET"} | {"PYTHONUNBUFFERED": "1"}
    if loaded.path is not None:
        env["EDGE_CONFIG"] = str(loaded.path)
    asyncio.run(_run(loaded.config, env, StackLog(sys.stdout)))
    return 0


async def _run(config: Config, env: dict[str, str], lines: StackLog) -> None:
    io = bool(KnownQueues.read(config.layout.queues).io)
    names = [entry.name for entry in config.planned(io=io) if not entry.scaled]
    parts = [worker_part(config, name, env=env, lines=lines) for name in names]
    scaled = ScaledWorkers(config, lambda name: worker_part(config, name, env=env, lines=lines), lines)
    stop, hurry = asyncio.Event(), asyncio.Event()

    def signalled() -> None:
        (hurry if stop.is_set() else stop).set()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, signalled)
    tasks = [asyncio.create_task(part.run()) for part in parts]
    tasks += [asyncio.create_task(scaled.run()), asyncio.create_task(_wait(stop))]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            await task
    finally:
        stop.set()  # from here on, a signal shortens the stop
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*(part.stop(hurry) for part in (*parts, *scaled.parts)))


async def _wait(stop: asyncio.Event) -> None:
    await stop.wait()
