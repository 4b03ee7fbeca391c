"""Checks whether a part is ready. The checks run only while the part starts."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from edge.config import Config, GatewayConfig
from edge.core import stored
from edge.model import PowerState, PowerStatus, WorkerState, WorkerStatus
from edge.up.child import Child
from edge.up.hint import local_host

_Record = TypeVar("_Record")


async def gateway(config: GatewayConfig, child: Child) -> bool:
    """Return True if the gateway answers `/v1/healthz` with 200."""
    del child  # the port was free before, so the program that answers there is our gateway
    try:
        async with asyncio.timeout(2.0):
            reader, writer = await asyncio.open_connection(local_host(config), config.port, ssl=_unchecked(config))
            try:
                writer.write(b"GET /v1/healthz HTTP/1.0\r\nHost: localhost\r\n\r\n")
                return b" 200 " in await reader.readline()
            finally:
                writer.close()
                with suppress(OSError):
                    await writer.wait_closed()
    except (OSError, TimeoutError):
        return False


def _unchecked(config: GatewayConfig) -> ssl.SSLContext | None:
    """Return a TLS context without checks, or None if the gateway has no certificate.

    Whether the certificate is trusted and names this board matters to clients only.
    """
    if config.tls_cert is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


async def governor(config: Config, child: Child) -> bool:
    """Return True if this process has written power.json."""
    status = _read(config.layout.power, PowerStatus)
    return status is not None and status.pid == child.pid


async def worker(config: Config, child: Child, *, name: str) -> bool:
    """Return True if this process consumes queues, or is paused by a report of the governor."""
    status = _read(config.layout.worker(name), WorkerStatus)
    if status is None or status.pid != child.pid:
        return False
    if status.state is WorkerState.PAUSED:
        return status.power is not PowerState.UNKNOWN
    return status.state in (WorkerState.IDLE, WorkerState.RUNNING)


def worker_began(config: Config, child: Child, *, name: str) -> bool:
    """Return True if this process has written its status. It may have begun a job then."""
    status = _read(config.layout.worker(name), WorkerStatus)
    return status is not None and status.pid == child.pid


def _read(path: Path, kind: type[_Record]) -> _Record | None:
    try:
        return stored.read(path, kind)
    except (OSError, stored.BadContent):
        return None
