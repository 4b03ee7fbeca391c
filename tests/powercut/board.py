"""What runs on the board from power-on: `edge up`, and a second worker in addition to its own.

`python -m tests.powercut.board ROOT [proxied] [alone]`, as PID 2 of a PID namespace of its own. `alone` leaves the
second worker out.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

from edge.core.errors import EdgeError
from edge.up.broker.node import PrivateNode
from edge.up.broker.ports import NodePorts
from edge.up.lines import StackLog
from edge.up.lock import only_one
from edge.up.main import run
from edge.up.settings import settings
from edge.up.supervise import Stack
from tests.powercut.stack import behind


def main() -> int:
    """Run until killed, as a power cut does."""
    root = Path(sys.argv[1])
    if (root / "broker" / "password").exists() and "alone" not in sys.argv[2:]:
        env = {key: value for key, value in os.environ.items() if key != "NOTIFY_SOCKET"}
        # It connects once the broker is up; two workers meet over one job when the broker delivers it twice.
        subprocess.Popen(
            [sys.executable, "-m", "edge.worker"],
            env=env | {"EDGE_CONFIG": str(root / "edge.yaml"), "EDGE_WORKER_NAME": "second"},
            stdin=subprocess.DEVNULL,
        )
    try:
        if "proxied" in sys.argv[2:]:
            _run_proxied(root)
        else:
            run(root)
    except EdgeError as err:
        sys.stderr.write(f"board: {err}\n")
        return err.exit_code
    return 0


def _run_proxied(root: Path) -> None:
    """As `run`, with the broker behind a proxy that stands where all others look for it."""
    loaded = settings(root)
    port = loaded.config.broker.port
    argv = [sys.executable, "-m", "tests.powercut.proxy", str(port), str(behind(port))]
    subprocess.Popen(argv, stdin=subprocess.DEVNULL)
    node = PrivateNode(loaded.config.layout.broker, NodePorts.from_amqp(behind(port)), user=loaded.config.broker.user)
    with only_one(root):
        asyncio.run(Stack(loaded, node, StackLog(sys.stdout), env=dict(os.environ)).run())


if __name__ == "__main__":
    sys.exit(main())
