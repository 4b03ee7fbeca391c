"""A real governor process on its own state, and what it says."""

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

#: Longer than anything here takes on a busy machine; only a failing test waits for it.
PATIENCE_S = 30.0


class RunningGovernor:
    """`python -m edge.power` with the given `power` section."""

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

    def said(self) -> PowerStatus:
        """What it says now, by the rules of staleness."""
        return status.read(self.layout.power)

    def until(self, wanted: PowerState | str) -> PowerStatus:
        """Wait for a state or a code."""

        def there() -> PowerStatus | None:
            said = self.said()
            return said if wanted in {said.state, said.code} else None

        return until(there, lambda: f"{wanted}; it says {self.said()}; log: {self.log.read_text()}")

    def switches(self) -> int:
        """How often its threads have been woken up so far."""
        total = 0
        for task in Path(f"/proc/{self.process.pid}/task").iterdir():
            for line in (task / "status").read_text().splitlines():
                if line.startswith("voluntary_ctxt_switches"):
                    total += int(line.split()[1])
        return total

    def stop(self) -> int:
        """SIGTERM, and the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE_S)


@contextmanager
def governor(folder: Path, power: dict[str, Any] | None = None) -> Iterator[RunningGovernor]:
    """A governor that runs within the block."""
    running = RunningGovernor(folder, power or {})
    try:
        yield running
    finally:
        if running.process.poll() is None:
            running.process.kill()
            running.process.wait()


def until(there: Callable[[], T | None], what: Callable[[], str]) -> T:
    """Poll until something is there; fails after PATIENCE_S saying what was waited for."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        found = there()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {PATIENCE_S:g} s for {what()}")
        time.sleep(0.005)
