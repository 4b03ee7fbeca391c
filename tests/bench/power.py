"""What power costs and how fast it is obeyed: from a change to the queues closed or open, and the idle governor."""

from __future__ import annotations

import select
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import yaml

from edge.config import Config
from edge.core.watch import Watch
from edge.model import WorkerStatus
from edge.power.simulate import simulate
from tests.bench import meters
from tests.bench.sides import Appliance, wait_for

#: Power as a test plays it: it obeys at once, and may rise as often as it likes.
PLAYED: dict[str, Any] = {
    "sources": [{"kind": "simulated", "start": "normal"}],
    "policy": {"max_rises_per_hour": 1000},
}
#: What a board with a few sensors reads every ten seconds.
SENSED: dict[str, Any] = {
    "sources": [{"kind": "disk"}, {"kind": "clock"}],
    "sampling": {"sample_s": 10.0, "slow_s": 10.0},
}
_NORMAL = "edge.normal"


class Reaction:
    """Plays power to a running appliance and times its idle worker by the worker's own, confirmed word."""

    def __init__(self, appliance: Appliance) -> None:
        self._config: Config = appliance.config
        self._path = self._config.layout.worker(self._config.worker.name)
        self._watch = Watch(self._config.run)
        self._until(consumed=True)

    def close(self) -> None:
        """Play no more."""
        self._watch.close()

    def times(self, count: int) -> tuple[list[float], list[float]]:
        """Seconds from the change of the source's file to the queue cancelled, and to it consumed again."""
        fallen: list[float] = []
        risen: list[float] = []
        for _ in range(count):
            for state, consumed, found in (("low", False, fallen), ("normal", True, risen)):
                began = time.perf_counter()
                simulate(self._config.power, self._config.layout, state)
                self._until(consumed=consumed)
                found.append(time.perf_counter() - began)
        return fallen, risen

    def _until(self, *, consumed: bool) -> None:
        deadline = time.monotonic() + 30
        while (_NORMAL in msgspec.json.decode(self._path.read_bytes(), type=WorkerStatus).queues) is not consumed:
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                raise TimeoutError(f"the worker does not {'open' if consumed else 'close'} its queue")
            select.select([self._watch], [], [], left_s)
            self._watch.read()


def reaction(folder: Path, count: int) -> tuple[list[float], list[float]]:
    """The times of an idle appliance of its own."""
    appliance = Appliance(folder, power=PLAYED)
    try:
        reaction = Reaction(appliance)
        try:
            return reaction.times(count)
        finally:
            reaction.close()
    finally:
        appliance.stop()


def governor(folder: Path, *, seconds: float) -> dict[str, float]:
    """What a governor costs that reads two sources every ten seconds."""
    folder.mkdir(parents=True)
    path, run = folder / "edge.yaml", folder / "run"
    path.write_text(yaml.safe_dump({"root": str(folder), "run": str(run), "power": SENSED}))
    process = subprocess.Popen([sys.executable, "-m", "edge.power", str(path)], stderr=subprocess.DEVNULL)
    try:
        wait_for((run / "power.json").exists, seconds=30, why="the governor")
        time.sleep(12)  # its first samples come faster
        return meters.idle({"governor": process.pid}, seconds=seconds)["governor"]
    finally:
        process.terminate()
        process.wait(30)
