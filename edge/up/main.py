"""Runs `edge up`: the whole appliance in the foreground until Ctrl-C."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import sys
from pathlib import Path

from edge.core.errors import UsageError
from edge.up.broker.node import PrivateNode
from edge.up.broker.ports import NodePorts
from edge.up.lines import StackLog
from edge.up.lock import only_one, stop_other
from edge.up.settings import overrides, settings
from edge.up.supervise import Stack

DEFAULT_ROOT = Path(".edge")


def run(
    root: Path = DEFAULT_ROOT,
    *,
    port: int | None = None,
    broker_port: int | None = None,
    server: Path | None = None,
) -> None:
    """Run the stack on `root` until SIGINT or SIGTERM. Return when everything has been stopped.

    Call it from the main thread, because signals arrive there, and the kernel kills the processes of `edge up` when
    this thread ends.

    Args:
        root: the state folder.
        port: port of the gateway; it overrides ROOT/edge.yaml.
        broker_port: port of the broker; it overrides ROOT/edge.yaml.
        server: path of the rabbitmq-server to use instead of the installed one.

    Raises:
        UsageError, ConfigError, StackError: the stack cannot run. The message is one line, and nothing is left running.
    """
    _check_installed()
    root = root.absolute()
    loaded = settings(root, port=port, broker_port=broker_port)
    with only_one(root):
        broker = loaded.config.broker
        node = PrivateNode(
            loaded.config.layout.broker, NodePorts.from_amqp(broker.port), user=broker.user, server=server
        )
        env = {**os.environ, **overrides(port, broker_port)}
        asyncio.run(Stack(loaded, node, StackLog(sys.stdout), env=env).run())


def _check_installed() -> None:
    """Raise UsageError if only the client is installed, before a broker is started for parts that cannot run."""
    for library in ("aiohttp", "celery"):
        if importlib.util.find_spec(library) is None:
            raise UsageError(
                f"edge up needs the device extra: pip install 'edge-worker[device]' ({library} is missing)"
            )


def stop(root: Path = DEFAULT_ROOT) -> bool:
    """End the `edge up` on `root`. Return False if none runs."""
    return stop_other(root.absolute())
