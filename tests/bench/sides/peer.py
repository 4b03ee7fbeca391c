"""Runs the workers that the appliance is compared with, plain Celery and the hand-made durable one, on its broker."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.bench import meters
from tests.bench.sides.appliance import Appliance
from tests.bench.sides.submitter import Submitter
from tests.bench.waiting import wait_for

_START_S = 60.0
_RESULT_S = 600.0


class Peer:
    """A Celery worker with a separate queue on the appliance's broker, and the submitter of its jobs.

    Args:
        folder: Folder for its log and its result files; it is created.
        appliance: The appliance whose broker it uses.
        program: `plain` or `durable`, of `tests.bench.programs`.
        arguments: Further arguments of the worker's command line.
    """

    def __init__(self, folder: Path, appliance: Appliance, program: str, *arguments: str) -> None:
        self._results = folder / "results"
        self._results.mkdir(parents=True)
        self._broker = appliance.parts["broker"]
        name = folder.name
        env = os.environ | {
            "BENCH_BROKER": appliance.broker_url,
            "BENCH_QUEUE": name,
            "BENCH_RESULTS": str(self._results),
        }
        self._log = (folder / "worker.log").open("wb")
        self._process = subprocess.Popen(
            [sys.executable, "-m", f"tests.bench.programs.{program}", "--hostname", f"{name}@%h", *arguments],
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )
        try:
            self._submitter = Submitter(program, env=env)
            self._sent = 0
            self.run(1, within_s=_START_S)
        except BaseException:
            self._end_worker()
            raise

    def stop(self) -> None:
        """Stop the worker and the submitter."""
        self._submitter.stop()
        self._end_worker()

    def costs(self) -> dict[str, meters.Cost]:
        """Return the costs of worker (with its children), broker and client since their start."""
        return {
            "worker": meters.cost(self._process.pid),
            "broker": meters.cost(*self._broker),
            "client": meters.Cost(self._submitter.cpu_s()),
        }

    def run(self, count: int, *, within_s: float = _RESULT_S) -> None:
        """Submit `count` jobs with `delay`, and return when each has its result file."""
        self._submitter.order(self._sent, count)
        self._sent += count
        for name in reversed(self._submitter.ids()):
            path = self._results / f"{name}-response.txt"
            wait_for(path.exists, seconds=within_s, why=f"{path} (see {self._log.name})")

    def _end_worker(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(60)
        self._log.close()
