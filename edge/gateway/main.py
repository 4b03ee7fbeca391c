"""Runs the gateway as a process: `edge gateway` and `python -m edge.gateway`."""

from __future__ import annotations

import asyncio
import logging
import signal

from edge.catalog import catalogue
from edge.config import Loaded
from edge.core import notify
from edge.gateway.app import Gateway

log = logging.getLogger("edge.gateway")


def main(loaded: Loaded) -> int:
    """Serve until SIGTERM or SIGINT, and log to stderr. SIGHUP reloads the tasks. Return the exit code.

    Raises StackError, StorageError, ConfigError.
    """
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    asyncio.run(_serve(loaded))
    return 0


async def _serve(loaded: Loaded) -> None:
    config = loaded.config
    gateway = Gateway(config, lambda: catalogue.load(loaded.path), path=loaded.path)
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    reloads: set[asyncio.Task[None]] = set()

    def reload() -> None:
        task = loop.create_task(gateway.appliance.kinds.reload())
        reloads.add(task)
        task.add_done_callback(reloads.discard)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, reload)
    port = await gateway.start()
    log.info("listening on %s://%s:%d", config.gateway.scheme, config.gateway.host, port)
    notify.ready()
    every_s = notify.ping_every_s()
    if every_s is not None:
        _ping(loop, every_s)
    try:
        await stop.wait()
    finally:
        notify.stopping()
        log.info("stopping")
        await gateway.stop()


def _ping(loop: asyncio.AbstractEventLoop, every_s: float) -> None:
    """Ping the supervisor from the event loop, so that the pings stop when the loop hangs."""
    notify.alive()
    loop.call_later(every_s, _ping, loop, every_s)
