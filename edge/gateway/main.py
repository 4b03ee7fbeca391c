"""The gateway as a process: `edge gateway`, `python -m edge.gateway`."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
from contextlib import suppress

from edge.config import Loaded
from edge.gateway.app import Gateway
from edge.jobs import catalogue

log = logging.getLogger("edge.gateway")


def main(loaded: Loaded) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit code. Raises StackError, StorageError."""
    asyncio.run(_serve(loaded))
    return 0


async def _serve(loaded: Loaded) -> None:
    config = loaded.config
    gateway = Gateway(config, lambda: catalogue.load(loaded.path))
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
    log.info("listening on http://%s:%d", config.gateway.host, port)
    _tell_systemd("READY=1")
    try:
        await stop.wait()
    finally:
        _tell_systemd("STOPPING=1")
        log.info("stopping")
        await gateway.stop()


def _tell_systemd(state: str) -> None:
    """sd_notify(3): one datagram, and nothing where nobody listens."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address.startswith(("/", "@")):
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as link:
            link.sendto(state.encode(), address.replace("@", "\0", 1) if address[0] == "@" else address)
