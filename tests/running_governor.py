"""Runs a real governor process with a separate state, and reads its status."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import yaml

from edge.core.layout import Layout
from edge.model import PowerState, PowerStatus
from edge.power import status

T = TypeVar("T")

#: Longer than any step takes on a busy machine; only a failing test waits this long.
PATIENCE_S = 30.0


class RunningGovernor:
    """A process `python -m edge.power` with a `power` section."""

    def __init__(self, folder: Path, power: dict[str, Any]) -> None:
        self.layout = Layout(folder / "state", folder / "run")
        self.config = folder / "edge.yaml"
        self.config.write_text(
            yaml.safe_dump({"root": str(self.layout.root), "run": str(self.layout.run), "power": power})
        )
        self.log = folder / "governor.log"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "edge.power", str(self.config)],
                stderr=log,
                env={k: v for k, v in os.environ.items() if not k.startswith(("EDGE_", "NOTIFY_", "WATCHDOG_"))},
            )

    def status(self) -> PowerStatus:
        """Return its current status; a stale one counts as unknown."""
        return status.read(self.layout.power)

    def until(self, wanted: PowerState | str) -> PowerStatus:
        """Wait for a state or a code, and return the status that has it."""

        def reached() -> PowerStatus | None:
            current = self.status()
            return current if wanted in {current.state, current.code} else None

        return until(reached, lambda: f"{wanted}; status: {self.status()}; log: {self.log.read_text()}")

    def switches(self) -> int:
        """Return how often its threads have been woken up so far."""
        total = 0
        for task in Path(f"/proc/{self.process.pid}/task").iterdir():
            for line in (task / "status").read_text().splitlines():
                if line.startswith("voluntary_ctxt_switches"):
                    total += int(line.split()[1])
        return total

    def stop(self) -> int:
        """Send SIGTERM, and return the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE_S)


@contextmanager
def governor(folder: Path, power: dict[str, Any] | None = None) -> Iterator[RunningGovernor]:
    """Run a governor until the block ends."""
    running = RunningGovernor(folder, power or {})
    try:
        yield running
    finally:
        if running.process.poll() is None:
            running.process.kill()
            running.process.wait()


def until(there: Callable[[], T | None], what: Callable[[], str]) -> T:
    """Poll until `there()` returns a true value, and return it; after PATIENCE_S fail with the text of `what`."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        found = there()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {PATIENCE_S:g} s for {what()}")
        time.sleep(0.005)
