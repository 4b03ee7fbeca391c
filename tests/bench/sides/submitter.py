"""Controls a submitter process, which submits jobs on order."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping

from tests.bench import meters


class Submitter:
    """A running `tests.bench.programs.submitter` that has imported everything and waits for orders."""

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
        """Order it to submit jobs `first` to `first + count - 1`; return at once."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"first": first, "count": count}) + "\n")
        self._process.stdin.flush()

    def ids(self) -> list[str]:
        """Wait until the oldest order whose ids were not read yet is carried out, and return the ids of its jobs."""
        ids: list[str] = json.loads(self._line())["ids"]
        return ids

    def cpu_s(self) -> float:
        """Return the CPU seconds that it has used since its start."""
        return meters.cost(self._process.pid).cpu_s

    def stop(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"a submitter ended with {self._process.wait(30)}; its error output is above")
        return line
