"""The bench's end of a submitter: a process that hands in jobs when it is told to."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping

from tests.bench import meters


class Submitter:
    """One `tests.bench.programs.submitter`, started, imported and waiting for orders."""

    def __init__(self, way: str, *arguments: str, env: Mapping[str, str] | None = None) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.programs.submitter", way, *arguments],
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._line()

    def order(self, first: int, count: int) -> None:
        """Let it hand in jobs `first` to `first + count - 1`; returns at once."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"first": first, "count": count}) + "\n")
        self._process.stdin.flush()

    def ids(self) -> list[str]:
        """Ids of the jobs of the oldest order that was not asked for yet; returns once all are handed in."""
        ids: list[str] = json.loads(self._line())["ids"]
        return ids

    def cpu_s(self) -> float:
        """CPU seconds since its start."""
        return meters.cost(self._process.pid).cpu_s

    def stop(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"a submitter ended with {self._process.wait(30)}: what it said is above")
        return line
